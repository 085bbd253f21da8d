# SPDX-License-Identifier: Apache-2.0
"""The slot table: a packet's slot is never the shadow, as long as the packet is in flight."""

import pytest
from amaranth.asserts import AnySeq
from amaranth.hdl import Mux, Signal

from ecoformer.hw.parameters.slots import PairSlotTable, SlotTable
from tests.formal.prover import Bench

SETS = 2
FLYING = 3
"""Packets in flight at most."""


def table(fence=True):
    bench = Bench(SlotTable(SETS, 1))
    m, dut = bench.m, bench.dut
    flying = Signal(range(FLYING + 2))
    m.d.sync += flying.eq(flying + dut.begin - dut.finish)
    bench.watch("flying_now", flying)
    bench.assume(~dut.begin | (flying != FLYING))
    bench.assume(~dut.finish | (flying != 0))

    # One packet of a known set is followed, whichever it is; those before it finish first.
    chosen = Signal()
    bench.m.d.comb += chosen.eq(AnySeq(1))
    followed = Signal()
    before = Signal(range(FLYING + 2))
    slot = Signal.like(dut.slot)
    with m.If(dut.begin & dut.known & chosen & ~followed):
        m.d.sync += [followed.eq(1), before.eq(flying - dut.finish), slot.eq(dut.slot)]
    with m.Elif(followed & dut.finish):
        m.d.sync += [before.eq(before - 1), followed.eq(before != 0)]
    for signal in (followed, before, slot):
        bench.watch(f"{signal.name}_now", signal)
    writable = dut.ready if fence else 1
    bench.always("the slot of a packet in flight is not written",
                 ~(followed & writable) | (dut.shadow != slot))
    bench.always("a known set's slot exists and is not the shadow",
                 ~dut.known | ((dut.slot <= SETS) & (dut.slot != dut.shadow)))
    bench.always("the shadow exists", dut.shadow <= SETS)
    flew = Signal()
    m.d.sync += flew.eq(flying != 0)
    bench.always("busy a cycle after a packet is in flight, and only then", dut.busy == flew)
    bench.reach("the shadow waits for a packet", followed & ~dut.ready)
    return bench


@pytest.mark.prove
def test_slots(proof):
    proof("SlotTable", f"{SETS} sets", table().prove(timeout=200))


def pairs(heeds=True):
    """Two streams that begin packets only as they are admitted."""
    ahead = 2
    bench = Bench(PairSlotTable(SETS, 1, 16, ahead))
    dut, lead = bench.dut, bench.dut.lead
    bench.assume(~dut.begin | dut.admit)
    if heeds:
        bench.assume(~dut.query_begin | dut.query_admit)
    kept = dut.kept
    bench.always("the queue of slots is never written when full", ~kept.w_en | kept.w_rdy)
    bench.always("nor read when empty", ~kept.r_en | kept.r_rdy)
    bench.always("no stream runs further ahead", (lead <= ahead) & (lead >= -ahead))
    bench.always("a slot waits for every packet that has no partner yet",
                 kept.level == Mux(lead < 0, -lead, lead))
    bench.always("who is behind may begin",
                 (dut.admit | (lead == ahead)) & (dut.query_admit | (lead == -ahead)))
    bench.reach("the second stream is as far ahead as it may be", lead == -ahead)
    return bench


def test_pairs(proof):
    proof("PairSlotTable", f"{SETS} sets", pairs().prove())


def test_a_stream_that_does_not_wait_is_refuted():
    assert not pairs(heeds=False).bounded(8).proved


def test_writing_without_waiting_is_refuted():
    """Were the shadow writable at once after COMMIT, a packet in flight would be altered."""
    verdict = table(fence=False).bounded(9)
    assert not verdict.proved
    assert "the slot of a packet in flight is not written" in verdict.trace
