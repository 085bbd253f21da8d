# SPDX-License-Identifier: Apache-2.0
"""Parameter memories: a row for every step of a unit, in every slot."""

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ecoformer.hw.lib.pipeline import register
from ecoformer.hw.parameters.write_port import ParameterWrite
from ecoformer.spec.memory_map import WORD_BITS, Region

__all__ = ["ParameterMemory"]

NARROW = 2 * WORD_BITS
"""Rows of at most this many bits use block RAM, even if there are only a few of them."""


class ParameterMemory(wiring.Component):
    """One region: a row of elements per step, for every slot.

    The row addressed in cycle t is on ``elements`` in cycle t + ``LATENCY``: a block RAM takes most
    of a cycle to answer, so its output is registered. Words are written a cycle late.

    Parameters
    ----------
    region : ecoformer.spec.memory_map.Region
    slots : int
    lanes : range
        Lanes of a row to keep here; all by default.

    Members
    -------
    write : ``In(ParameterWrite)``
    slot, row : ``In``
    elements : ``Out(ArrayLayout(signed(lane_bits), len(lanes)))``
    """

    LATENCY = 2

    def __init__(self, region: Region, slots: int, lanes: range | None = None):
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

    def elaborate(self, platform) -> Module:
        m = Module()
        region = self.region
        row_bits = region.address_bits
        # Words go to the shadow and rows come from other slots, so addresses never collide.
        attrs: dict[str, int | str] = {"no_rw_check": 1}
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
