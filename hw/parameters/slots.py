# SPDX-License-Identifier: Apache-2.0
"""Slots for parameter sets: one set is loaded while another is in use.

There is one slot more than resident sets. Writes go to the spare slot, the shadow; COMMIT gives
the shadow to a set and makes the set's old slot the next shadow, once no packet that began before
the COMMIT is in flight. Packets carry their slot with them, so a set in use is never altered and
changing the set between packets costs no cycle.
"""

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ecoformer.hw.lib.pipeline import below
from ecoformer.spec.memory_map import WORD_BITS

__all__ = ["IN_FLIGHT", "SlotTable"]

IN_FLIGHT = 1 << 12
"""Upper bound on packets in flight: each holds a bank, a buffer entry or a pipeline stage."""


class SlotTable(wiring.Component):
    """Which slot holds which set, and which slot is the shadow.

    Parameters
    ----------
    sets : int
    user_width : int
    packets : int
        Upper bound on packets in flight, exclusive.

    Members
    -------
    user : ``In(user_width)``
        Set selected by the packet whose first beat is offered.
    slot, known : ``Out``
        Its slot, and whether it exists and is loaded; same cycle.
    begin, finish : ``In(1)``
        A packet began (first beat taken), a packet ended (last beat delivered).
    commit : ``In(1)``, commit_set : ``In``
        Gives the shadow to a set; ignored while not ``ready`` or when there is no such set.
    shadow : ``Out``
    ready : ``Out(1)``
        The shadow may be written and committed. After a COMMIT to a loaded set it stays low for at
        least four cycles.
    busy : ``Out(1)``
        A packet is in flight; registered.
    """

    def __init__(self, sets: int, user_width: int, packets: int = IN_FLIGHT):
        self.sets = sets
        self.packets = packets
        self.slots = sets + 1
        super().__init__(
            {
                "user": In(user_width),
                "slot": Out(ceil_log2(self.slots)),
                "known": Out(1),
                "begin": In(1),
                "finish": In(1),
                "commit": In(1),
                "commit_set": In(WORD_BITS),
                "shadow": Out(ceil_log2(self.slots), init=sets),
                "ready": Out(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.map = slot_map = memory.Memory(
            shape=unsigned(ceil_log2(self.slots)), depth=self.sets, init=[]
        )
        lookup = slot_map.read_port(domain="comb")
        old = slot_map.read_port(domain="comb")
        assign = slot_map.write_port()
        loaded = Signal(self.sets)
        unused = Signal(range(self.sets + 1))  # slots below this one have been the shadow before

        index = self.commit_set[: ceil_log2(self.sets)]
        requested = self.user[: ceil_log2(self.sets)]
        accepted = Signal()
        # Counted a cycle late, to break the long path from the pins.
        begun = Signal(range(self.packets))
        finished = Signal(range(self.packets))
        fence = Signal(range(self.packets))
        begin = Signal()
        finish = Signal()
        drained = Signal()
        draining = Signal()
        fencing = Signal(2)  # the fence is being set, and being compared for the first time
        m.d.comb += [
            lookup.addr.eq(requested),
            self.slot.eq(lookup.data),
            self.known.eq(below(self.user, self.sets) & loaded.bit_select(requested, 1)),
            self.ready.eq(~draining),
            self.busy.eq(begun != finished),
            accepted.eq(self.commit & self.ready & below(self.commit_set, self.sets)),
            old.addr.eq(index),
            assign.addr.eq(index),
            assign.data.eq(self.shadow),
            assign.en.eq(accepted),
        ]
        m.d.sync += [
            begin.eq(self.begin),
            finish.eq(self.finish),
            begun.eq(begun + begin),
            finished.eq(finished + finish),
            drained.eq(finished == fence),
            fencing.eq(fencing << 1),
        ]
        with m.If(accepted):
            m.d.sync += loaded.bit_select(index, 1).eq(1)
            with m.If(loaded.bit_select(index, 1)):
                m.d.sync += [self.shadow.eq(old.data), draining.eq(1), fencing.eq(0b01)]
            with m.Else():  # a set's first load takes a slot that no packet can be using
                m.d.sync += [self.shadow.eq(unused), unused.eq(unused + 1)]
        with m.Elif(drained & ~fencing.any()):
            m.d.sync += draining.eq(0)
        with m.If(fencing[0]):  # by now packets that began with the COMMIT are counted
            m.d.sync += fence.eq(begun + begin)
        return m
