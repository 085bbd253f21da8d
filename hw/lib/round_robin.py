# SPDX-License-Identifier: Apache-2.0
"""Round robin: packets go to several units in turn, and their answers come in the same order.

The turn alone keeps the order: packet n goes to unit n modulo their number, and answer n comes from
there.
"""

from functools import reduce
from operator import or_

from amaranth import *
from amaranth.hdl import ShapeLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Joiner", "Splitter"]


class Splitter(wiring.Component):
    """Sends whole packets to the outputs in turn; no latency.

    Parameters
    ----------
    shape : ShapeCastable
        Of a payload, with ``tag.last`` on the last of a packet.
    count : int
        Outputs.

    Members
    -------
    i : ``In(stream.Signature(shape))``
    o : ``Out(stream.Signature(shape)).array(count)``
    """

    def __init__(self, shape: ShapeLike, count: int):
        self.count = count
        super().__init__(
            {
                "i": In(stream.Signature(shape)),
                "o": Out(stream.Signature(shape)).array(count),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        turn = _turn(m, self.count, self.i)
        for mine, port in zip(turn, self.o, strict=True):
            m.d.comb += [port.valid.eq(self.i.valid & mine), port.payload.eq(self.i.payload)]
        m.d.comb += self.i.ready.eq(_chosen(turn, [port.ready for port in self.o]))
        return m


class Joiner(wiring.Component):
    """Takes whole answers from the inputs in turn; no latency.

    Parameters
    ----------
    shape : ShapeCastable
        Of a payload, with ``end`` and ``tag.last`` on the last of an answer.
    count : int

    Members
    -------
    i : ``In(stream.Signature(shape)).array(count)``
    o : ``Out(stream.Signature(shape))``
    """

    def __init__(self, shape: ShapeLike, count: int):
        self.count = count
        super().__init__(
            {
                "i": In(stream.Signature(shape)).array(count),
                "o": Out(stream.Signature(shape)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        turn = _turn(m, self.count, self.o, self.o.payload.end)
        payloads = [port.payload.as_value() for port in self.i]
        m.d.comb += [
            self.o.valid.eq(_chosen(turn, [port.valid for port in self.i])),
            self.o.payload.as_value().eq(_chosen(turn, payloads)),
        ]
        for mine, port in zip(turn, self.i, strict=True):
            m.d.comb += port.ready.eq(self.o.ready & mine)
        return m


def _turn(m, count, port, end=1):
    """Whose turn it is, one-hot; passed on when the last of a packet goes through ``port``."""
    turn = Signal(count, init=1)
    with m.If(port.valid & port.ready & port.payload.tag.last & end):
        m.d.sync += turn.eq(turn.rotate_left(1))
    return turn


def _chosen(turn, values):
    return reduce(or_, (value & turn[i].replicate(len(value)) for i, value in enumerate(values)))
