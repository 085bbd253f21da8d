# SPDX-License-Identifier: Apache-2.0
"""The sum of all tokens of a packet."""

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from ecoformer.hw.lib.pipeline import delay, register
from ecoformer.hw.network.link import TokenLink

__all__ = ["Pool"]


class Pool(wiring.Component):
    """Adds up the tokens of a packet element by element; the last one brings the sum.

    Parameters
    ----------
    elements : int
        Of a token, at least :data:`LEAST`.
    tokens : int
        Of a packet.
    width, sum_width : int
        Signed bits of an element, and of a sum of ``tokens`` elements.

    Members
    -------
    i : ``In(TokenLink(width))``
    o : ``Out(TokenLink(sum_width))``
    """

    latency = 3
    """Cycles from an element of the last token to its sum."""
    LEAST = latency
    """Fewest elements of a token: a sum is written before it is read again."""

    def __init__(self, elements: int, tokens: int, width: int, sum_width: int):
        self.elements = elements
        self.tokens = tokens
        self.sum_width = sum_width
        super().__init__({"i": In(TokenLink(width)), "o": Out(TokenLink(sum_width))})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.sums = sums = memory.Memory(
            shape=unsigned(self.sum_width), depth=self.elements, init=[]
        )
        write = sums.write_port()
        read = sums.read_port()
        # Tokens as they are announced, and as their elements come.
        announced, arriving = (
            Signal(range(self.tokens), name=name) for name in ("announced", "arriving")
        )
        index = Signal(range(self.elements))
        last_announced, last_arriving, last_element = Signal(), Signal(), Signal()
        m.d.comb += [
            last_announced.eq(announced == self.tokens - 1),
            last_arriving.eq(arriving == self.tokens - 1),
            last_element.eq(index == self.elements - 1),
            self.i.room.eq(self.o.room | ~last_announced),
            self.o.begin.eq(self.i.begin & last_announced),
        ]
        with m.If(self.i.begin):
            m.d.sync += announced.eq(Mux(last_announced, 0, announced + 1))
        with m.If(self.i.valid):
            m.d.sync += index.eq(Mux(last_element, 0, index + 1))
            with m.If(last_element):
                m.d.sync += arriving.eq(Mux(last_arriving, 0, arriving + 1))

        first = delay(m, arriving == 0, 1, name="first")
        before = Mux(first, 0, read.data.as_signed())
        element = register(m, self.i.element, name="element")
        total = register(m, (before + element)[: self.sum_width].as_signed(), name="total")
        m.d.comb += [
            read.addr.eq(index),
            write.en.eq(delay(m, self.i.valid, 2, name="write_enable", reset=True)),
            write.addr.eq(delay(m, index, 2, name="write_address")),
            write.data.eq(total),
            self.o.valid.eq(
                delay(m, self.i.valid & last_arriving, self.latency, name="valid", reset=True)
            ),
            self.o.element.eq(register(m, total, name="sum")),
        ]
        return m
