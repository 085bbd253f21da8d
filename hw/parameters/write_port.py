"""The port that loads parameters, from the registers to every memory."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ecoformer.hw.lib.pipeline import below, delays
from ecoformer.spec.memory_map import REGIONS, WORD_BITS, Layout

__all__ = ["ParameterWord", "ParameterWrite", "WriteDecoder"]


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

    def __init__(self, slots: int):
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
    layout : ecoformer.layout.Layout
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

    def __init__(self, layout: Layout, slots: int, hops: int = 0):
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
