# SPDX-License-Identifier: Apache-2.0
"""Receiver: handshake for all time, and the order of tokens."""

import pytest
from amaranth.hdl import C, Signal

from ecoformer.hw.stream import receiver
from ecoformer.hw.stream.contexts import ContextReceiver
from ecoformer.hw.stream.pairs import PairReceiver
from ecoformer.hw.stream.receiver import Receiver
from ecoformer.spec.registers import Error
from tests.formal.claims import obeys, offers, taken
from tests.formal.configs import CAUSAL, CROSS, MARKED, NAMES, TINY, named
from tests.formal.prover import Bench


@pytest.mark.parametrize("name", NAMES)
def test_handshake(proof, name):
    bench = Bench(Receiver(named(name)))
    obeys(bench, bench.dut.i, "i")
    offers(bench, bench.dut.o, "o")
    proof("Receiver", name, bench.prove())


@pytest.mark.parametrize("stream", [0, 1], ids=["keys", "queries"])
def test_handshake_of_pairs(proof, stream):
    bench = Bench(PairReceiver(CROSS, CROSS.wire.inlets[stream]))
    obeys(bench, bench.dut.i, "i")
    offers(bench, bench.dut.o, "o")
    bench.reach("a packet of a wrong set is reported with its cause",
                bench.dut.o.valid & (bench.dut.o.payload.tag.cause == Error.UNKNOWN_SET))
    proof("PairReceiver", f"tiny, stream {stream}", bench.prove())


def contexts(most):
    """Whatever is sent, a context has at most ``most`` tokens, so its sums do not overflow."""
    bench = Bench(ContextReceiver(CAUSAL))
    dut, token = bench.dut, bench.dut.o.payload
    obeys(bench, dut.i, "i")
    offers(bench, dut.o, "o")
    good = dut.o.valid & ~token.tag.error
    bench.always("a token is one of those that a context may have",
                 ~good | (token.count >= 1) & (token.count <= most))
    before, after = (bench.past(value, name) for value, name in (
        (taken(dut.o) & ~token.tag.error & ~token.tag.last, "within"), (token.count, "count_before")
    ))
    bench.always("tokens of a packet are counted", ~(before & good) | (token.count == after + 1))
    bench.always("an unknown set is the only error of its beat",
                 ~dut.errors[Error.UNKNOWN_SET] | (dut.errors == 1 << Error.UNKNOWN_SET))
    bench.always("a lost context is the only error of its beat",
                 ~dut.errors[Error.CONTEXT_LOST] | (dut.errors == 1 << Error.CONTEXT_LOST))
    bench.reach("the second token of a context is one packet of its own",
                good & (token.count == 2) & token.tag.last & (token.tag.context == 1))
    bench.reach("a context is lost", dut.errors[Error.CONTEXT_LOST])
    bench.reach("a context is full", dut.errors[Error.TOO_LONG])
    return bench


def test_contexts(proof):
    proof("ContextReceiver", "tiny, causal", contexts(CAUSAL.max_tokens).prove(reach=30))


def test_fewer_tokens_are_refuted():
    assert not contexts(CAUSAL.max_tokens - 1).bounded(16).proved


def marked(dut):
    """A null byte in data is an error of its packet, the only one; no packet begins without a set.
    """
    bench = Bench(dut)
    m, i, found = bench.m, dut.i, dut.errors.any()
    obeys(bench, i, "i")
    offers(bench, dut.o, "o")
    bad = Signal()
    with m.If(taken(i) & i.payload.last):
        m.d.sync += bad.eq(0)
    with m.Elif(found):
        m.d.sync += bad.eq(1)
    bench.watch("bad_now", bad)
    null = taken(i) & ~i.payload.keep[0]
    bench.always("a null byte in data is an error", ~null | bad | found)
    bench.always("no packet has a second error", ~bad | ~found)
    bench.always("no packet begins without a set", ~dut.begin | dut.selected)
    bench.reach("a null byte is found", dut.errors[Error.KEEP_MISMATCH])
    bench.reach("a good token leaves", taken(dut.o) & ~dut.o.payload.tag.error)
    return bench


def test_null_bytes_and_sets(proof):
    proof("Receiver", "tiny, tkeep, queue", marked(Receiver(MARKED)).prove(reach=30))


def test_a_receiver_that_takes_null_bytes_is_refuted(monkeypatch):
    monkeypatch.setattr(receiver, "kept_bytes", lambda config, size, last: C(0, 1))
    verdict = marked(Receiver(MARKED)).bounded(8)
    assert not verdict.proved and "a null byte in data is an error" in verdict.trace


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
