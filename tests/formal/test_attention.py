# SPDX-License-Identifier: Apache-2.0
"""The linear core and its sequence queue: buffers, banks, ring, one launch per result."""

from dataclasses import replace

import pytest
from amaranth.hdl import Mux, Signal, signed

from ecoformer.hw.attention.cores import core_class
from ecoformer.hw.attention.sequences import SequenceQueue
from tests.formal.claims import buffers_never_overflow, count, obeys, taken
from tests.formal.configs import CAUSAL, CROSS, FULL_RATE, TINY
from tests.formal.prover import Bench

BANKS = 2
CORES = {"tiny": TINY, "tiny, k = 1": FULL_RATE}
ALL_CORES = CORES | {"tiny, causal": CAUSAL, "tiny, cross": CROSS}


def core(name):
    return core_class(ALL_CORES[name])(ALL_CORES[name])


@pytest.mark.parametrize("name", ALL_CORES)
def test_core(proof, name):
    bench = Bench(core(name))
    dut = bench.dut
    for port in ("keys", "queries")[: len(dut.config.wire.inlets)]:
        obeys(bench, getattr(dut, port), port)
    granted = bench.past(dut.grant & ~dut.launch & ~bench.reset, "granted")
    bench.assume(~granted | dut.grant)
    bench.always("a result is launched only with grant", ~dut.launch | dut.grant)
    after_reset = bench.past(bench.reset, "after_reset")
    bench.always("no block leaves after reset", ~after_reset | ~dut.blocks.valid)
    if bench.fifos:
        buffers_never_overflow(bench)
    bench.reach("a block leaves", dut.blocks.valid)
    proof(type(dut).__name__, name, bench.prove())


def queue(claim):
    """A queue whose sequences have at most ``max_tokens`` tokens, as the cores send them."""
    bench = Bench(SequenceQueue(TINY, BANKS, claim))
    dut = bench.dut
    bench.assume(~dut.take | dut.room | (dut.release if claim == "last" else 0))
    bench.assume(~dut.release | dut.waiting)
    return bench


@pytest.mark.parametrize("claim", ["first", "last"])
def test_queue(proof, claim):
    bench = queue(claim)
    dut = bench.dut
    buffers_never_overflow(bench)
    claims = dut.first if claim == "first" else dut.key.tag.last
    used = count(bench, dut.take & claims, dut.release, "used")
    bench.always("never more sequences than banks", used <= BANKS)
    bench.always("room while a bank is free or the token needs none",
                 dut.room == (~claims | (used != BANKS)))
    bench.always("the bank exists", dut.bank < BANKS)
    bench.always("the current bank exists", ~dut.waiting | (dut.current.bank < BANKS))
    bench.reach("every bank is in use", used == BANKS)
    proof("SequenceQueue", claim, bench.prove())


def test_a_key_pass_too_many_is_noticed():
    """Without the rule that a key needs room the buffer of complete sequences overflows."""
    bench = Bench(SequenceQueue(TINY, BANKS, "first"))
    buffers_never_overflow(bench)
    verdict = bench.prove(reach=1)
    assert not verdict.proved
    assert "buffer 0 is never written when full" in verdict.trace


def test_keys_are_taken_one_a_slot(proof):
    bench = Bench(core("tiny"))
    dut = bench.dut
    obeys(bench, dut.keys, "keys")
    before = bench.past(taken(dut.keys) & ~bench.reset, "before")
    bench.always("no two keys within a slot", ~before | ~taken(dut.keys))
    bench.reach("two keys are taken", taken(dut.keys) & bench.past(before, "two_before"))
    proof("AccumulateCore", "tiny", bench.prove())


def causal_order(spoilt=0):
    """Tokens of two contexts in any order: each is answered by the sums of its own context.

    Every value is 0 but those of the first token that goes to one context, whichever it is. With a
    code of one bit that is always the same, (2^g + C)·v is the numerator of every token of that
    context, and 0 that of the others. The last token that may follow the first is its second.
    """
    config = CAUSAL
    bench = Bench(core_class(config)(config))
    dut, m = bench.dut, bench.m
    key, block = dut.keys.payload, dut.blocks.payload
    obeys(bench, dut.keys, "keys")
    mine, offset = bench.any_constant(1, "mine"), bench.any_constant(2, "offset")
    value = bench.any_constant(4, "value")
    counts = [Signal(2, name=f"count_{i}") for i in range(2)]
    context = key.tag.context
    seen = Mux(context, counts[1], counts[0])
    first = (context == mine) & (key.count == 1)
    bench.assume(~key.tag.error & (key.offset == offset) & key.code & dut.grant)
    bench.assume((key.count == 1) | (key.count == seen + 1) & (seen != 0))
    bench.assume(key.count <= config.max_tokens)
    bench.assume(Mux(first, key.v[0] == value.as_signed(), key.v[0] == 0))
    with m.If(taken(dut.keys)):
        with m.Switch(context):
            for i, total in enumerate(counts):
                with m.Case(i):
                    m.d.sync += total.eq(key.count)
    for i, total in enumerate(counts):
        bench.watch(f"count_{i}_now", total)
    weight = (1 << config.offset_fraction) + offset + spoilt
    own = dut.blocks.valid & (block.tag.context == mine)
    bench.always("tokens of the context see its value",
                 ~own | (block.numerators[0] == value.as_signed() * weight))
    bench.always("tokens of others do not",
                 ~dut.blocks.valid | own | (block.numerators[0] == 0))
    answered = count(bench, dut.blocks.valid, 0, "answered")
    bench.reach("a second token of the context answers",
                own & (block.denominator == 2 * weight) & (value == 3) & (answered > 2))
    return bench


@pytest.mark.prove
def test_causal_order(proof):
    proof("CausalCore order", "tiny, causal", causal_order().bounded(34))


def test_another_causal_weight_is_refuted():
    assert not causal_order(spoilt=1).bounded(14).proved


def order(config, spoilt=0):
    """Every value but that of one token is 0, so its own result tells whose it is.

    With a code of one bit the sums of that token's packet are h·v and v: its own numerator is
    (2^g + C)·v, whatever the codes are.
    """
    bench = Bench(core_class(config)(config))
    dut, m = bench.dut, bench.m
    key, block = dut.keys.payload, dut.blocks.payload
    obeys(bench, dut.keys, "keys")
    place, offset = bench.any_constant(3, "place"), bench.any_constant(2, "offset")
    bench.assume(~key.tag.error & (key.offset == offset))
    bench.assume(dut.grant)

    sent, came, position = Signal(4), Signal(4), Signal(2)
    value, last, user = Signal(signed(4)), Signal(), Signal(len(key.tag.user))
    with m.If(taken(dut.keys)):
        m.d.sync += [sent.eq(sent + 1), position.eq(Mux(key.tag.last, 0, position + 1))]
        with m.If(sent == place):
            m.d.sync += [value.eq(key.v[0]), last.eq(key.tag.last), user.eq(key.tag.user)]
    with m.If(dut.blocks.valid):
        m.d.sync += came.eq(came + 1)
    same = bench.past(key.tag.user, "user_before")
    bench.assume((sent == place) | (key.v[0] == 0))
    bench.assume((position == 0) | (key.tag.user == same))
    bench.assume((position != config.max_tokens - 1) | key.tag.last)
    bench.assume(sent < 8)

    mine = dut.blocks.valid & (came == place)
    weight = (1 << config.offset_fraction) + offset + spoilt
    bench.always("the token's own result has its value",
                 ~mine | (block.numerators[0] == value * weight))
    bench.always("and its tag", ~mine | ((block.tag.last == last) & (block.tag.user == user)))
    bench.always("no result before its token", ~dut.blocks.valid | (came < sent))
    bench.reach("a token of the second packet answers", mine & (place == 2) & (value == 3) & ~last)
    return bench


@pytest.mark.prove
@pytest.mark.parametrize("value_term", ["sum", "own"])
@pytest.mark.parametrize("name", CORES)
def test_order(proof, name, value_term):
    config = replace(CORES[name], value_term=value_term)
    bench = order(config)
    proof(f"{core_class(config).__name__} order", f"{name}, {value_term}", bench.bounded(22))


@pytest.mark.parametrize("config", CORES.values(), ids=CORES)
def test_another_weight_is_refuted(config):
    assert not order(config, spoilt=1).bounded(16).proved
