# SPDX-License-Identifier: Apache-2.0
"""Collector and Sender: handshake, room for every token launched, order."""

from dataclasses import replace

import pytest
from amaranth.hdl import Cat, Mux, Signal

from ecoformer.hw.stream.collector import Collector
from ecoformer.hw.stream.sender import Sender
from ecoformer.hw.stream.words import Words
from tests.formal.claims import buffers_never_overflow, count, obeys, offers, taken
from tests.formal.configs import NAMES, TINY, named
from tests.formal.prover import Bench

LATENCY = 5
"""From ``launch`` to a token's first block: sets the depth of the buffer only."""

TWO_WORDS = replace(TINY, value_dim=2, cycles_per_token=4)


def test_configurations_have_the_words_they_are_for():
    assert [Words(config).count for config in (TINY, TWO_WORDS)] == [1, 2]


@pytest.mark.parametrize("name", NAMES)
def test_sender_handshake(proof, name):
    bench = Bench(Sender(named(name)))
    obeys(bench, bench.dut.i, "i")
    offers(bench, bench.dut.o, "o")
    proof("Sender", name, bench.prove())


def collector(config=TINY, disciplined=True):
    """A collector whose tokens are launched with ``grant`` only and arrive some time later."""
    fold = config.state_fold
    bench = Bench(Collector(config, LATENCY, fold.input_steps))
    dut = bench.dut
    block = Signal(range(fold.output_steps), name="block")
    last = block == fold.output_steps - 1
    error = bench.past(dut.i.payload.tag.error, "error_before")
    with bench.m.If(dut.i.valid):
        bench.m.d.sync += block.eq(Mux(last, 0, block + 1))
    bench.watch("block_now", block)
    bench.assume(~dut.i.valid | (dut.i.payload.final == last))
    bench.assume((block == 0) | (dut.i.payload.tag.error == error))
    arrives = dut.i.valid & dut.i.payload.final
    flying = count(bench, dut.launch, arrives, "flying")
    bench.assume(~arrives | (flying != 0))
    if disciplined:
        bench.assume(~dut.launch | dut.grant)
    return bench, arrives


def room(config):
    bench, _ = collector(config)
    dut = bench.dut
    offers(bench, dut.o, "o")
    buffers_never_overflow(bench)
    returned = Signal()  # a place is given back a cycle late
    bench.m.d.sync += returned.eq(taken(dut.o) & dut.o.payload.end)
    granted = count(bench, dut.launch, returned, "granted")
    bench.always("as many tokens are granted as there is room for", granted <= dut.depth)
    bench.always("grant while there is room, and only then", dut.grant == (granted != dut.depth))
    bench.reach("every place is granted", granted == dut.depth)
    return bench


def test_collector_has_room_for_what_it_granted(proof):
    proof("Collector", "tiny", room(TINY).prove(reach=30))


@pytest.mark.prove
def test_collector_has_room_for_every_word(proof):
    proof("Collector", "two words", room(TWO_WORDS).bounded(18))


def test_a_launch_without_grant_overflows():
    bench, _ = collector(disciplined=False)
    buffers_never_overflow(bench)
    verdict = bench.prove()
    assert not verdict.proved
    assert "buffer 0 is never written when full" in verdict.trace


def follow(bench, arrives, leaves, payload_in, payload_out):
    """Claim that whatever arrival is chosen leaves at its place with its payload."""
    m = bench.m
    chosen = bench.any_constant(3, "chosen")
    arrived = Signal(4)
    left = Signal(4)
    marked = Signal(len(payload_in))
    m.d.sync += [arrived.eq(arrived + arrives), left.eq(left + leaves)]
    with m.If(arrives & (arrived == chosen)):
        m.d.sync += marked.eq(payload_in)
    for signal in (arrived, left, marked):
        bench.watch(f"{signal.name}_now", signal)
    bench.always(
        "the chosen token leaves in its place, as it came",
        ~(leaves & (left == chosen)) | (payload_out == marked),
    )
    bench.always("no more tokens leave than came", ~leaves | (left != arrived))
    bench.reach("the third token is chosen and leaves", leaves & (left == chosen) & (left == 2))


@pytest.mark.prove
def test_collector_order(proof):
    bench, arrives = collector()
    i, o = bench.dut.i, bench.dut.o
    came = Cat(i.payload.elements.as_value(), i.payload.tag.as_value())
    left = Cat(o.payload.elements.as_value(), o.payload.tag.as_value())
    follow(bench, arrives, taken(o), came, left)
    proof("Collector", "tiny", bench.bounded(14))


def test_sender_order(proof):
    bench = Bench(Sender(TINY))
    i, o = bench.dut.i, bench.dut.o
    bench.assume(i.payload.end)  # one word a token
    element = i.payload.elements[0].as_unsigned()  # 0 of a bad packet, from the divider on
    came = Cat(element, i.payload.tag.as_value())
    beat = o.payload
    left = Cat(beat.data[: TINY.output_width], beat.user, beat.last, beat.error)
    follow(bench, taken(i), taken(o), came, left)
    signs = beat.data[TINY.output_width - 1 :]
    bench.always("elements are sign-extended", ~o.valid | signs.all() | ~signs.any())
    proof("Sender", "tiny", bench.prove(reach=24))

