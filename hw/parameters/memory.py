# SPDX-License-Identifier: Apache-2.0
"""Parameter memories: a row for every step of a unit, in every slot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ecoformer.hw.lib.contents import CONTENTS
from ecoformer.hw.lib.pipeline import register
from ecoformer.hw.parameters.write_port import ParameterWrite
from ecoformer.spec.config import Config
from ecoformer.spec.memory_map import WORD_BITS, MemoryMap, Region
from ecoformer.spec.parameters import ParameterImage

__all__ = ["ParameterMemory", "Slots"]


@dataclass(frozen=True)
class Slots:
    """Slots of all parameter memories of a datapath, and what the first ones hold from the start.

    Parameters
    ----------
    count : int
    contents : dict of str to sequence of sequence of int
        Rows of slot 0, of the next one, … by the name of their region, each as the bits of a row;
        nothing by default.
    """

    count: int
    contents: Mapping[str, Sequence[Sequence[int]]] = field(default_factory=dict)

    @classmethod
    def of(cls, config: Config) -> Self:
        """A slot for every set and one for the shadow, to be loaded."""
        return cls(config.parameter_sets + 1)

    @classmethod
    def holding(cls, config: Config, images: Sequence[ParameterImage], index: int) -> Self:
        """The slots :meth:`of` an engine, which hold parameter set ``index`` of each image."""
        layout = MemoryMap(config)
        sets = [layout.rows(image, index) for image in images]
        return cls(cls.of(config).count, {
            name: [[region.packed(row) for row in rows[name]] for rows in sets]
            for name, region in layout.regions.items()
        })

    @property
    def bits(self) -> int:
        """Bits of a slot's number."""
        return ceil_log2(self.count)

    def side(self, prefix: str) -> Self:
        """The slots of the memories of one side, by their names without its prefix."""
        start = len(prefix)
        own = {n[start:]: rows for n, rows in self.contents.items() if n.startswith(prefix)}
        return type(self)(self.count, own)


class ParameterMemory(wiring.Component):
    """One region: a row of elements per step, for every slot.

    The row addressed in cycle t is on ``elements`` in cycle t + ``LATENCY``: a block RAM takes most
    of a cycle to answer, so its output is registered. Words are written a cycle late.

    Parameters
    ----------
    region : ecoformer.spec.memory_map.Region
    slots : Slots
    lanes : range
        Lanes of a row to keep here; all by default.

    Members
    -------
    write : ``In(ParameterWrite)``
    slot, row : ``In``
    elements : ``Out(ArrayLayout(signed(lane_bits), len(lanes)))``
    """

    LATENCY = 2

    def __init__(self, region: Region, slots: Slots, lanes: range | None = None):
        self.region = region
        self.slots = slots
        self.lanes = range(region.lanes) if lanes is None else lanes
        super().__init__(
            {
                "write": In(ParameterWrite(slots.count)),
                "slot": In(slots.bits),
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
        if self.slots.contents:
            attrs |= CONTENTS
        m.submodules.rows = rows = memory.Memory(
            shape=unsigned(len(words) * WORD_BITS),
            depth=self.slots.count << row_bits,
            init=self._contents(words),
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
            # A register may say anything before reset, which contents from the start must outlive.
            writes = enable & ~ResetSignal() if self.slots.contents else enable
            m.d.comb += write.en[index].eq(writes)
        return m

    def _contents(self, words):
        """Those ``words`` of the rows that slots hold from the start."""
        first, width = words.start * WORD_BITS, len(words) * WORD_BITS
        pitch, found = 1 << self.region.address_bits, []
        for slot, rows in enumerate(self.slots.contents.get(self.region.name, ())):
            found += [0] * (slot * pitch - len(found))
            found += [row >> first & (1 << width) - 1 for row in rows]
        return found
