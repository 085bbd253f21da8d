# SPDX-License-Identifier: Apache-2.0
"""Slots for parameter sets: one set is loaded while another is in use.

There is one slot more than resident sets. Writes go to the spare slot, the shadow; COMMIT gives
the shadow to a set and makes the set's old slot the next shadow, once no packet that began before
the COMMIT is in flight. Packets carry their slot with them, so a set in use is never altered and
changing the set between packets costs no cycle.
"""

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Member, Out
from amaranth.utils import ceil_log2

from ecoformer.hw.lib.pipeline import below
from ecoformer.spec.memory_map import WORD_BITS

__all__ = ["IN_FLIGHT", "PairSlotTable", "SlotTable"]

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

    def __init__(self, sets: int, user_width: int, packets: int = IN_FLIGHT, **more: Member):
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
                **more,
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
            self.slot.eq(self._used(m, lookup.data)),
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
            begin.eq(self._begins(m, slot_map, loaded)),
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

    def _used(self, m, found):
        """Slot of a packet for whose set slot ``found`` was looked up."""
        return found

    def _begins(self, m, slot_map, loaded):
        """Strobe: one packet more is in flight."""
        return self.begin


class PairSlotTable(SlotTable):
    """`SlotTable` of two streams whose packets make pairs; what is in flight are pairs.

    A pair is in flight from the first beat of the earlier of its packets. Packets for the same set
    both use the slot that this one found: a COMMIT in between does not part them. Each stream may
    begin ``ahead`` packets before the other.

    Parameters
    ----------
    sets, user_width, packets
        Same as in `SlotTable`.
    ahead : int

    Members
    -------
    user, slot, known, begin
        Of the first stream.
    query_user : ``In``, query_slot, query_known : ``Out``, query_begin : ``In(1)``
        Of the second.
    admit, query_admit : ``Out(1)``
        The stream may begin another packet; registers.
    """

    def __init__(self, sets: int, user_width: int, packets: int, ahead: int):
        self.ahead = ahead
        super().__init__(
            sets, user_width, packets,
            query_user=In(user_width), query_slot=Out(ceil_log2(sets + 1)), query_known=Out(1),
            query_begin=In(1), admit=Out(1, init=1), query_admit=Out(1, init=1),
        )
        # Of the pairs of which one packet has begun: its set, whether it is loaded, and its slot.
        self.layout = data.StructLayout(
            {"user": user_width, "known": 1, "slot": ceil_log2(self.slots)}
        )
        self.kept = SyncFIFO(width=self.layout.size, depth=ahead)
        self.lead = Signal(range(-ahead, ahead + 1))
        """Packets that the first stream has begun before the second."""

    def _used(self, m, found):
        return self._earlier(self.lead < 0, self.user, found)

    def _earlier(self, follows, user, found):
        """The slot that the earlier packet of a pair found, if it asked for the same set."""
        earlier = data.View(self.layout, self.kept.r_stream.payload)
        return Mux(follows & earlier.known & (earlier.user == user), earlier.slot, found)

    def _begins(self, m, slot_map, loaded):
        m.submodules.kept = kept = self.kept
        lookup = slot_map.read_port(domain="comb")
        requested = self.query_user[: ceil_log2(self.sets)]
        keys_lead, queries_lead = self.lead > 0, self.lead < 0
        follows = Signal()  # a packet completes the pair of one that began before
        both = Signal()
        begins = Signal()
        after = Signal(self.lead.shape())
        m.d.comb += [
            lookup.addr.eq(requested),
            self.query_slot.eq(self._earlier(keys_lead, self.query_user, lookup.data)),
            self.query_known.eq(
                below(self.query_user, self.sets) & loaded.bit_select(requested, 1)
            ),
            follows.eq((self.begin & queries_lead) | (self.query_begin & keys_lead)),
            both.eq(self.begin & self.query_begin & ~keys_lead & ~queries_lead),
            begins.eq((self.begin & ~queries_lead) | (self.query_begin & ~keys_lead)),
            kept.w_stream.valid.eq(begins & ~both),
            kept.w_stream.payload.eq(
                Mux(
                    queries_lead | ~self.begin,
                    Cat(self.query_user, self.query_known, self.query_slot),
                    Cat(self.user, self.known, self.slot),
                )
            ),
            kept.r_stream.ready.eq(follows),
            after.eq(self.lead + self.begin - self.query_begin),
        ]
        m.d.sync += [
            self.lead.eq(after),
            self.admit.eq(after < self.ahead),
            self.query_admit.eq(after > -self.ahead),
        ]
        return begins
