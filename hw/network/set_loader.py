# SPDX-License-Identifier: Apache-2.0
"""Loads the parameters of the heads of a block through the write ports of their memories."""

from functools import reduce
from operator import or_

from amaranth import *
from amaranth.lib.wiring import Out

from ecoformer.hw.lib.loading import ByteCounter
from ecoformer.hw.parameters.write_port import ParameterWrite
from ecoformer.spec.memory_map import WORD_BITS, MemoryMap

__all__ = ["SetLoader"]

WORD_BYTES = WORD_BITS // 8


class SetLoader(ByteCounter):
    """Writes one parameter set after another, in the order of `MemoryMap.load_words`.

    All sets of a head come before those of the next.

    Parameters
    ----------
    layout : MemoryMap
    heads, sets : int
        How many there are, and parameter sets of each.
    slots : int
        Slots of their memories, of which the first ``sets`` are loaded.

    Members
    -------
    writes : ``Out(ParameterWrite)``, an array of ``heads``
        The write port of each head.
    """

    def __init__(self, layout: MemoryMap, heads: int, sets: int, slots: int):
        self.layout = layout
        self.sets = sets
        super().__init__({"writes": Out(ParameterWrite(slots, layout.codes)).array(heads)})

    def place(self, m: Module, mine: Value) -> Value:
        regions = [*self.layout.regions.values()]
        byte = Signal(WORD_BYTES, init=1)
        region, head = Signal(len(regions), init=1), Signal(len(self.writes), init=1)
        word = Signal(range(max(region.words for region in regions)))
        row = Signal(range(max(region.rows for region in regions)))
        gathered = Signal(WORD_BITS - 8, reset_less=True)

        def of_region(ends):
            return reduce(or_, (region[i] & end for i, end in enumerate(ends)))

        whole, row_ends, region_ends, set_ends = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            whole.eq(mine & byte[-1]),
            row_ends.eq(of_region(word == r.words - 1 for r in regions)),
            region_ends.eq(row_ends & of_region(row == r.rows - 1 for r in regions)),
            set_ends.eq(region_ends & region[-1]),
        ]
        with m.If(mine):
            m.d.sync += [
                byte.eq(byte.rotate_left(1)), gathered.eq(Cat(gathered[8:], self.load.data)),
            ]
        with m.If(whole):
            m.d.sync += word.eq(Mux(row_ends, 0, word + 1))
        with m.If(whole & row_ends):
            m.d.sync += row.eq(Mux(region_ends, 0, row + 1))
        with m.If(whole & region_ends):
            m.d.sync += region.eq(region.rotate_left(1))
        counters = [byte, region, head, word, row]
        slot, head_ends = C(0), set_ends
        if self.sets > 1:
            slot, head_ends = Signal(range(self.sets)), Signal()
            counters.append(slot)
            m.d.comb += head_ends.eq(set_ends & (slot == self.sets - 1))
            with m.If(whole & set_ends):
                m.d.sync += slot.eq(Mux(head_ends, 0, slot + 1))
        with m.If(whole & head_ends):
            m.d.sync += head.eq(head.rotate_left(1))
        with m.If(self.load.start):
            m.d.sync += [counter.eq(counter.init) for counter in counters]
        for number, write in enumerate(self.writes):
            m.d.comb += [
                write.row.eq(row), write.word.eq(word), write.slot.eq(slot),
                write.data.eq(Cat(gathered, self.load.data)),
                *(
                    write.enable[r.index].eq(whole & head[number] & region[i])
                    for i, r in enumerate(regions)
                ),
            ]
        return byte[-1] & head_ends & head[-1]
