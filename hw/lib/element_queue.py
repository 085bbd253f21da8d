"""Vectors that come and go element by element, kept in memory instead of in registers.

Where every unit has a single lane and a beat is an element, no one ever needs a whole vector: then
registers for it, and the choice of an element among them, would be most of the engine.
"""

from amaranth import *
from amaranth.hdl import ShapeLike
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ecoformer.hw.lib.pipeline import delay, register

__all__ = ["ElementQueue", "ElementWrite"]


class ElementWrite(wiring.Signature):
    """Elements of one vector after the other.

    Members
    -------
    enable : ``Out(1)``
    index, data : ``Out``
        An element of the vector that is coming.
    done : ``Out(1)``
        Strobe: it is complete, or has been given up; the next element is of the next vector.
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
    """Vectors in the order in which they came, the oldest read in any order of its elements.

    Nothing is checked: whoever writes knows that the vector ``vectors`` before is done with.

    Parameters
    ----------
    elements : int
        Of a vector.
    shape : Shape
        Of an element.
    vectors : int
        Places, made a power of two.

    Members
    -------
    write : ``In(ElementWrite)``
    follow : ``In(1)``
        Strobe: from the next cycle on the next vector is read, the first after the first strobe.
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

    def elaborate(self, platform):
        m = Module()
        m.submodules.places = places = memory.Memory(
            shape=unsigned(Shape.cast(self.element.shape()).width),
            depth=1 << self.page_bits + len(self.index),
            init=[],
            attrs={"ram_style": "block", "no_rw_check": 1},
        )
        write = places.write_port()
        read = places.read_port()
        coming = Signal(self.page_bits)
        oldest = Signal(self.page_bits, init=-1)
        m.d.sync += [coming.eq(coming + self.write.done), oldest.eq(oldest + self.follow)]
        # Written a cycle late: the way from the pins ends in registers.
        m.d.comb += [
            write.en.eq(delay(m, self.write.enable, 1, name="write_enable", reset=True)),
            write.addr.eq(register(m, Cat(self.write.index, coming), name="write_address")),
            write.data.eq(register(m, self.write.data, name="write_data")),
            read.addr.eq(Cat(self.index, oldest)),
            self.element.eq(read.data),
        ]
        return m
