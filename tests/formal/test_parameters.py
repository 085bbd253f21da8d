# SPDX-License-Identifier: Apache-2.0
"""The slot table: a packet's slot is never the shadow, as long as the packet is in flight."""

import pytest
from amaranth.asserts import AnySeq
from amaranth.hdl import Signal

from ecoformer.hw.parameters.slots import SlotTable
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


def test_writing_without_waiting_is_refuted():
    """Were the shadow writable at once after COMMIT, a packet in flight would be altered."""
    verdict = table(fence=False).bounded(9)
    assert not verdict.proved
    assert "the slot of a packet in flight is not written" in verdict.trace
