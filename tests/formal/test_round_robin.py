# SPDX-License-Identifier: Apache-2.0
"""Splitter and joiner: handshake, one at a time, in turn; and the buffer behind the splitter."""

import pytest
from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ecoformer.hw.lib.queue import DeepBuffer
from ecoformer.hw.lib.round_robin import Joiner, Splitter
from tests.formal.claims import obeys, offers, taken
from tests.formal.prover import Bench

WAYS = 3
TAG = data.StructLayout({"last": 1})
TOKEN = data.StructLayout({"number": 2, "tag": TAG})
WORD = data.StructLayout({"number": 2, "end": 1, "tag": TAG})


def comes(bench, port, name):
    """Assume a source that is silent after reset; offers are passed on at once."""
    obeys(bench, port, name)
    bench.assume(~bench.past(bench.reset, f"{name}_after_reset") | ~port.valid)


def turn_of(bench, port, end=1):
    """Packets that passed ``port`` since reset, modulo the number of units."""
    turn = Signal(range(WAYS))
    with bench.m.If(taken(port) & port.payload.tag.last & end):
        bench.m.d.sync += turn.eq(Mux(turn == WAYS - 1, 0, turn + 1))
    return bench.watch("turn_now", turn)


def splitter(first=0):
    bench = Bench(Splitter(TOKEN, WAYS))
    i, outputs = bench.dut.i, bench.dut.o
    comes(bench, i, "i")
    turn = turn_of(bench, i)
    for index, port in enumerate(outputs):
        offers(bench, port, f"o{index}")
        mine = turn == (index + first) % WAYS
        bench.always(f"output {index} takes what is taken in its turn, and nothing else",
                     taken(port) == (taken(i) & mine))
        bench.always(f"output {index} offers what came",
                     ~port.valid | (port.payload.as_value() == i.payload.as_value()))
    return bench


def joiner(first=0):
    bench = Bench(Joiner(WORD, WAYS))
    o, inputs = bench.dut.o, bench.dut.i
    turn = turn_of(bench, o, o.payload.end)
    offers(bench, o, "o")
    for index, port in enumerate(inputs):
        comes(bench, port, f"i{index}")
        mine = turn == (index + first) % WAYS
        bench.always(f"input {index} is taken in its turn, and never else",
                     taken(port) == (taken(o) & mine))
        same = o.payload.as_value() == port.payload.as_value()
        bench.always(f"in its turn input {index} is what leaves", ~(o.valid & mine) | same)
    return bench


@pytest.mark.parametrize("component", [splitter, joiner])
def test_packets_take_turns(proof, component):
    proof(component.__name__.title(), f"{WAYS} ways", component().prove())


@pytest.mark.parametrize("component", [splitter, joiner])
def test_another_turn_is_refuted(component):
    verdict = component(first=1).prove(reach=1)
    assert not verdict.proved and "in its turn" in verdict.trace


class Buffered(wiring.Component):
    """A deep buffer between streams."""

    i: In(stream.Signature(2))
    o: Out(stream.Signature(2))

    def elaborate(self, platform):
        m = Module()
        m.submodules.buffer = buffer = DeepBuffer(width=2, depth=4)
        m.d.comb += [
            buffer.w_data.eq(self.i.payload),
            buffer.w_en.eq(self.i.valid),
            self.i.ready.eq(buffer.w_rdy),
            self.o.payload.eq(buffer.r_data),
            self.o.valid.eq(buffer.r_rdy),
            buffer.r_en.eq(self.o.ready),
        ]
        return m


def test_a_place_is_never_read_while_it_is_written(proof):
    """The promise that Yosys gets about the memory of the buffer."""
    bench = Bench(Buffered())
    offers(bench, bench.dut.o, "o")
    produce, consume, level = (
        bench.inner(name, "buffer") for name in ("produce", "consume", "inner_level")
    )
    reads = (level != 0) & (~bench.dut.o.valid | bench.dut.o.ready)
    bench.always("no place is read and written",
                 ~(taken(bench.dut.i) & reads) | (produce != consume))
    bench.reach("its memory is full", level == 3)
    proof("DeepBuffer", "4 places", bench.prove())
