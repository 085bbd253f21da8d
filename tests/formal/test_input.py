# SPDX-License-Identifier: Apache-2.0
"""Receiver: handshake for all time, and the order of tokens."""

import pytest
from amaranth.hdl import Signal

from ecoformer.hw.stream.receiver import Receiver
from tests.formal.claims import obeys, offers, taken
from tests.formal.configs import NAMES, TINY, named
from tests.formal.prover import Bench


@pytest.mark.parametrize("name", NAMES)
def test_handshake(proof, name):
    bench = Bench(Receiver(named(name)))
    obeys(bench, bench.dut.i, "i")
    offers(bench, bench.dut.o, "o")
    proof("Receiver", name, bench.prove())


def ordered(dut, x=0, v=1):
    """The token that the n-th pair of beats makes is the n-th that leaves, for every n.

    Tiny packets: a token is two beats. Packets are good: not aborted, of known sets, not too long
    and of whole tokens; ``x`` and ``v`` are the beats that hold them. One token is followed,
    whichever it is.
    """
    bench = Bench(dut)
    m, i, o = bench.m, dut.i, dut.o
    obeys(bench, i, "i")
    # Beats: second of a token, tokens of its packet before, all before.
    second = Signal()
    position = Signal(range(TINY.max_tokens + 1))
    received = Signal(4)
    sent = Signal(4)
    chosen = bench.any_constant(4, "chosen")
    data = [Signal(8, name=f"beat_{n}") for n in range(2)]
    last = Signal()
    beat = i.payload
    with m.If(taken(i)):
        m.d.sync += second.eq(~second)
        with m.If(received == chosen):
            for n in range(2):
                with m.If(second == n):
                    m.d.sync += [data[n].eq(beat.data), last.eq(beat.last)]
        with m.If(second):
            m.d.sync += [received.eq(received + 1), position.eq(position + 1)]
            with m.If(beat.last):
                m.d.sync += position.eq(0)
    with m.If(taken(o)):
        m.d.sync += sent.eq(sent + 1)
    for value in (second, received, sent, *data, last):
        bench.watch(f"{value.name}_now", value)
    bench.assume(~dut.abort & (~i.valid | dut.known))
    bench.assume(~(i.valid & beat.last) | second)
    bench.assume(~(i.valid & second & (position == TINY.max_tokens - 1)) | beat.last)
    bench.always("no more tokens leave than came", ~o.valid | (sent != received))
    bench.always("none waits but one", (received - sent)[:4] <= 1)
    bench.always(
        "the chosen token leaves in its place, as it came",
        ~(o.valid & (sent == chosen))
        | (
            (o.payload.x[0].as_unsigned() == data[x][: TINY.token_width])
            & (o.payload.v[0].as_unsigned() == data[v][: TINY.value_width])
            & (o.payload.tag.last == last)
            & ~o.payload.tag.error
        ),
    )
    bench.always("good packets have no errors", dut.errors == 0)
    bench.reach("the fourth token is chosen and leaves", taken(o) & (sent == chosen) & (sent == 3))
    return bench


@pytest.mark.prove
def test_order(proof):
    proof("Receiver", "tiny", ordered(Receiver(TINY)).prove(reach=30))


def test_another_order_is_refuted():
    verdict = ordered(Receiver(TINY), x=1, v=0).bounded(8)
    assert not verdict.proved
    assert "the chosen token leaves in its place, as it came" in verdict.trace
