# SPDX-License-Identifier: Apache-2.0
"""Vectors that come and go element by element, kept in memory instead of in registers.

Where every unit has a single lane and a beat is an element, nothing ever needs a whole vector, and
registers for it, with the multiplexers behind them, would be most of the engine.
"""

from amaranth import *
from amaranth.hdl import ShapeLike
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ecoformer.hw.lib.pipeline import delay, register

__all__ = ["ElementQueue", "ElementWrite"]


class ElementWrite(wiring.Signature):
    """Elements of one vector after another.

    Members
    -------
    enable : ``Out(1)``
    index, data : ``Out``
        An element of the vector being written.
    done : ``Out(1)``
        Strobe: the vector is complete or abandoned; the next element belongs to the next vector.
    """

    def __init__(self, elements: int, shape: ShapeLike):
        super().__init__(
            {
                "enable": Out(1),
                "index": Out(ceil_log2(elements)),
                "data": Out(shape),
                "done": Out(1),
            }
        )


class ElementQueue(wiring.Component):
    """First-in first-out queue of vectors; the elements of the oldest are read in any order.

    The writer must not overrun: when a vector begins, the one ``vectors`` before it is done with.

    Parameters
    ----------
    elements : int
        Of a vector.
    shape : Shape
        Of an element.
    vectors : int
        Capacity, rounded up to a power of two.

    Members
    -------
    write : ``In(ElementWrite)``
    follow : ``In(1)``
        Strobe: the next vector is read from the next cycle on. The first strobe selects the first.
    index : ``In(range(elements))``
    element : ``Out(shape)``
        A cycle later.
    """

    def __init__(self, elements: int, shape: ShapeLike, vectors: int):
        self.page_bits = ceil_log2(vectors)
        super().__init__(
            {
                "write": In(ElementWrite(elements, shape)),
                "follow": In(1),
                "index": In(ceil_log2(elements)),
                "element": Out(shape),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.entries = entries = memory.Memory(
            shape=unsigned(Shape.cast(self.element.shape()).width),
            depth=1 << self.page_bits + len(self.index),
            init=[],
            attrs={"no_rw_check": 1},
        )
        write = entries.write_port()
        read = entries.read_port()
        coming = Signal(self.page_bits)
        oldest = Signal(self.page_bits, init=-1)
        m.d.sync += [coming.eq(coming + self.write.done), oldest.eq(oldest + self.follow)]
        # Registered, to end the path from the input pins.
        m.d.comb += [
            write.en.eq(delay(m, self.write.enable, 1, name="write_enable", reset=True)),
            write.addr.eq(register(m, Cat(self.write.index, coming), name="write_address")),
            write.data.eq(register(m, self.write.data, name="write_data")),
            read.addr.eq(Cat(self.index, oldest)),
            self.element.eq(read.data),
        ]
        return m
