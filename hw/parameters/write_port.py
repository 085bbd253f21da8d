# SPDX-License-Identifier: Apache-2.0
"""The port that loads parameters, from the registers to every memory."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ecoformer.hw.lib.pipeline import below, delays
from ecoformer.spec.memory_map import SIDE_CODES, WORD_BITS, MemoryMap

__all__ = ["ParameterWord", "ParameterWrite", "WriteDecoder", "connect_write"]


class ParameterWord(wiring.Signature):
    """One word, as written to the registers.

    Members
    -------
    enable : ``Out(1)``
    region, row, word, data : ``Out``
        Fields of PARAM_ADDRESS, and PARAM_DATA.
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
    """One word for the shadow slot, decoded.

    Parameters
    ----------
    slots : int
    codes : int
        Codes of regions; those of one side by default.

    Members
    -------
    enable : ``Out(codes)``
        One-hot over the codes of the regions, or 0.
    row, word, data : ``Out``
        Same as in :class:`ParameterWord`.
    slot : ``Out``
    """

    def __init__(self, slots: int, codes: int = SIDE_CODES):
        super().__init__(
            {
                "enable": Out(codes),
                "row": Out(16),
                "word": Out(12),
                "data": Out(WORD_BITS),
                "slot": Out(ceil_log2(slots)),
            }
        )


def connect_write(
    m: Module, source: wiring.PureInterface, sink: wiring.PureInterface, first: int = 0
) -> None:
    """Connect ``sink``, for the regions of one side, to those of ``source`` from code ``first``."""
    m.d.comb += [
        getattr(sink, name).eq(getattr(source, name)[first if name == "enable" else 0 :])
        for name in sink.signature.members
    ]


class WriteDecoder(wiring.Component):
    """Decodes a word's region, in a cycle of its own: the paths to the memories are long.

    Parameters
    ----------
    layout : MemoryMap
    slots : int
    hops : int
        Additional cycles of latency.

    Members
    -------
    i : ``In(ParameterWord)``
    slot : ``In``
    o : ``Out(ParameterWrite)``
        Words for regions and rows that do not exist are dropped.
    """

    def __init__(self, layout: MemoryMap, slots: int, hops: int = 0):
        self.layout = layout
        self.hops = hops
        super().__init__(
            {
                "i": In(ParameterWord()),
                "slot": In(ceil_log2(slots)),
                "o": Out(ParameterWrite(slots, layout.codes)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        enable = Signal(len(self.o.enable))
        m.d.sync += enable.eq(0)
        for region in self.layout.regions.values():
            # Rows beyond the last one are never read, so those within the address range may pass.
            hit = (self.i.region == region.index) & below(self.i.row, 1 << region.address_bits)
            m.d.sync += enable[region.index].eq(self.i.enable & hit)
        m.d.comb += self.o.enable.eq(delays(m, enable, self.hops, name="enable", reset=True)[-1])
        for name in ("row", "word", "data"):
            late = delays(m, getattr(self.i, name), 1 + self.hops, name=name)[-1]
            m.d.comb += getattr(self.o, name).eq(late)
        m.d.comb += self.o.slot.eq(delays(m, self.slot, 1 + self.hops, name="slot")[-1])
        return m
