# SPDX-License-Identifier: Apache-2.0
"""A buffer of one entry that ends the combinatorial path of ``ready``."""

from amaranth import *
from amaranth.hdl import ShapeLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["SkidBuffer"]


class SkidBuffer(wiring.Component):
    """Passes a stream on in the same cycle; ``i.ready`` comes from a register.

    A payload that is accepted while ``o`` is not ready waits in the buffer, with ``i.ready`` low
    until it has left. Latency 0, throughput one payload per cycle.

    Parameters
    ----------
    shape : Shape
        Of the payload.

    Members
    -------
    i : ``In(stream)``
    o : ``Out(stream)``
    """

    def __init__(self, shape: ShapeLike):
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform) -> Module:
        m = Module()
        full = Signal()
        kept = Signal.like(self.i.payload, reset_less=True)
        m.d.comb += [
            self.i.ready.eq(~full),
            self.o.valid.eq(self.i.valid | full),
            self.o.payload.eq(Mux(full, kept, self.i.payload)),
        ]
        m.d.sync += full.eq(self.o.valid & ~self.o.ready)
        with m.If(~full):
            m.d.sync += kept.eq(self.i.payload)
        return m
