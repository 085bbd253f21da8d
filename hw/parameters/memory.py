"""Parameter memories, the way into them, and slots: one set is loaded while another is in use.

There is one slot more than resident sets. Writes go to the spare slot, the shadow; COMMIT gives
the shadow to a set and makes the set's old slot the next shadow, once no packet that began before
the COMMIT is in flight. Packets carry their slot with them, so a set in use is never altered and
changing the set between packets costs no cycle.
"""

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ecoformer.hw.lib.pipeline import below, delays, register
from ecoformer.spec.memory_map import REGIONS, WORD_BITS

__all__ = [
    "IN_FLIGHT", "ParameterMemory", "ParameterWord", "ParameterWrite", "SlotTable", "WriteDecoder",
]  # fmt: skip

IN_FLIGHT = 1 << 12
"""More packets than are ever in an engine: each holds a bank, a buffer or a pipeline stage."""

NARROW = 2 * WORD_BITS
"""Rows of at most so many bits take a block RAM or two, however few they are, and no logic."""


class ParameterWord(wiring.Signature):
    """One word, as the registers give it.

    Members
    -------
    enable : ``Out(1)``
    region, row, word, data : ``Out``
        As in PARAM_ADDRESS and PARAM_DATA.
    """

    def __init__(self):
        super().__init__(
            {
                "enable": Out(1),
                "region": Out(4),
                "row": Out(16),
                "word": Out(12),
                "data": Out(WORD_BITS),
            }
        )


class ParameterWrite(wiring.Signature):
    """One word on its way to the shadow slot.

    Members
    -------
    enable : ``Out(len(REGIONS))``
        A bit for each region; at most one is 1.
    row, word, data : ``Out``
        As in :class:`ParameterWord`.
    slot : ``Out``
    """

    def __init__(self, slots):
        super().__init__(
            {
                "enable": Out(len(REGIONS)),
                "row": Out(16),
                "word": Out(12),
                "data": Out(WORD_BITS),
                "slot": Out(ceil_log2(slots)),
            }
        )


class WriteDecoder(wiring.Component):
    """Finds a word's region, a cycle after it came: the ways to all memories are long.

    Parameters
    ----------
    layout : MemoryMap
    slots : int
    hops : int
        Cycles more that a word is on its way.

    Members
    -------
    i : ``In(ParameterWord)``
    slot : ``In``
    o : ``Out(ParameterWrite)``
        Without words of regions or rows that there are not.
    """

    def __init__(self, layout, slots, hops=0):
        self.layout = layout
        self.hops = hops
        super().__init__(
            {
                "i": In(ParameterWord()),
                "slot": In(ceil_log2(slots)),
                "o": Out(ParameterWrite(slots)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        enable = Signal(len(self.o.enable))
        m.d.sync += enable.eq(0)
        for region in self.layout.regions.values():
            # What is beyond the last row may be written where nothing is read.
            found = (self.i.region == region.index) & below(self.i.row, 1 << region.address_bits)
            m.d.sync += enable[region.index].eq(self.i.enable & found)
        m.d.comb += self.o.enable.eq(delays(m, enable, self.hops, name="enable", reset=True)[-1])
        for name in ("row", "word", "data"):
            late = delays(m, getattr(self.i, name), 1 + self.hops, name=name)[-1]
            m.d.comb += getattr(self.o, name).eq(late)
        m.d.comb += self.o.slot.eq(delays(m, self.slot, 1 + self.hops, name="slot")[-1])
        return m


class ParameterMemory(wiring.Component):
    """One region: a row of elements per step, for every slot.

    The row addressed in cycle t is on ``elements`` in cycle t + ``LATENCY``: a block RAM takes most
    of a cycle to answer, so its answer is registered before anything is done with it. A word is
    written a cycle after it came.

    Parameters
    ----------
    region : ecoformer.layout.Region
    slots : int
    lanes : range
        Of a row, those that are wanted here; all by default.

    Members
    -------
    write : ``In(ParameterWrite)``
    slot, row : ``In``
    elements : ``Out(ArrayLayout(signed(lane_bits), len(lanes)))``
    """

    LATENCY = 2

    def __init__(self, region, slots, lanes=None):
        self.region = region
        self.slots = slots
        self.lanes = range(region.lanes) if lanes is None else lanes
        super().__init__(
            {
                "write": In(ParameterWrite(slots)),
                "slot": In(ceil_log2(slots)),
                "row": In(region.address_bits),
                "elements": Out(data.ArrayLayout(signed(region.lane_bits), len(self.lanes))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        region = self.region
        row_bits = region.address_bits
        # Words go to the shadow and rows come from other slots: Yosys need not map a collision.
        attrs = {"no_rw_check": 1}
        begin, end = (lane * region.lane_bits for lane in (self.lanes.start, self.lanes.stop))
        words = range(begin // WORD_BITS, -(-end // WORD_BITS))
        if region.row_bits <= NARROW:
            attrs["ram_style"] = "block"
        m.submodules.rows = rows = memory.Memory(
            shape=unsigned(len(words) * WORD_BITS),
            depth=self.slots << row_bits,
            init=[],
            attrs=attrs,
        )
        write = rows.write_port(granularity=WORD_BITS)
        read = rows.read_port()
        address = Cat(self.write.row[:row_bits], self.write.slot)
        word = register(m, self.write.data, name="write_data")
        m.d.comb += [
            write.addr.eq(register(m, address, name="write_address")),
            write.data.eq(word.replicate(len(words))),
            read.addr.eq(Cat(self.row, self.slot)),
            self.elements.as_value().eq(
                register(m, read.data, name="answer")[begin % WORD_BITS :]
            ),
        ]
        selected = self.write.enable[region.index]
        for index, word in enumerate(words):
            enable = Signal(name=f"write_enable_{word}")
            m.d.sync += enable.eq(selected & (self.write.word == word))
            m.d.comb += write.en[index].eq(enable)
        return m


class SlotTable(wiring.Component):
    """Which slot holds which set, and which slot is the shadow.

    Parameters
    ----------
    sets : int
    user_width : int
    packets : int
        More than are ever in flight.

    Members
    -------
    user : ``In(user_width)``
        Set asked for by the packet whose first beat is offered.
    slot, known : ``Out``
        Its slot, and whether it exists and is loaded; same cycle.
    begin, finish : ``In(1)``
        A packet began (first beat taken), a packet ended (last beat delivered).
    commit : ``In(1)``, commit_set : ``In``
        Gives the shadow to a set; ignored while not ``ready`` or when there is no such set.
    shadow : ``Out``
    ready : ``Out(1)``
        The shadow may be written and committed. After a set was given another slot it is so again
        four cycles later at the earliest.
    busy : ``Out(1)``
        A packet is in flight; a cycle late.
    """

    def __init__(self, sets, user_width, packets=IN_FLIGHT):
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

    def elaborate(self, platform):
        m = Module()
        m.submodules.map = slot_map = memory.Memory(
            shape=unsigned(ceil_log2(self.slots)), depth=self.sets, init=[]
        )
        lookup = slot_map.read_port(domain="comb")
        old = slot_map.read_port(domain="comb")
        assign = slot_map.write_port()
        loaded = Signal(self.sets)
        unused = Signal(range(self.sets + 1))  # slots below this have been a shadow already

        index = self.commit_set[: ceil_log2(self.sets)]
        asked = self.user[: ceil_log2(self.sets)]
        accepted = Signal()
        # Packets are counted a cycle late, because the way from the pins is long.
        begun = Signal(range(self.packets))
        finished = Signal(range(self.packets))
        fence = Signal(range(self.packets))
        begin = Signal()
        finish = Signal()
        drained = Signal()
        draining = Signal()
        fencing = Signal(2)  # the fence is being set, and being compared for the first time
        m.d.comb += [
            lookup.addr.eq(asked),
            self.slot.eq(lookup.data),
            self.known.eq(below(self.user, self.sets) & loaded.bit_select(asked, 1)),
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
        with m.If(fencing[0]):  # now the packets are counted that began with the COMMIT
            m.d.sync += fence.eq(begun + begin)
        return m
