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

    Parameters
    ----------
    layout : MemoryMap
    sets : int
        One for each head.
    slots : int
        Slots of their memories, of which the first is loaded.

    Members
    -------
    writes : ``Out(ParameterWrite)``, an array of ``sets``
        The write port of each head.
    """

    def __init__(self, layout: MemoryMap, sets: int, slots: int):
        self.layout = layout
        super().__init__({"writes": Out(ParameterWrite(slots, layout.codes)).array(sets)})

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
        with m.If(whole & set_ends):
            m.d.sync += head.eq(head.rotate_left(1))
        with m.If(self.load.start):
            m.d.sync += [counter.eq(counter.init) for counter in (byte, region, head, word, row)]
        for number, write in enumerate(self.writes):
            m.d.comb += [
                write.row.eq(row), write.word.eq(word), write.slot.eq(0),
                write.data.eq(Cat(gathered, self.load.data)),
                *(
                    write.enable[r.index].eq(whole & head[number] & region[i])
                    for i, r in enumerate(regions)
                ),
            ]
        return byte[-1] & set_ends & head[-1]
