# SPDX-License-Identifier: Apache-2.0
"""The sum of a branch and of what went around it."""

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from ecoformer.hw.lib.pipeline import delay, register
from ecoformer.hw.network.link import TokenLink, elements_of, lane_name, room_for, send
from ecoformer.hw.network.requantise import saturate

__all__ = ["Residual"]


class Residual(wiring.Component):
    """Keeps tokens while a branch works on them, and adds what comes of them; saturates.

    Parameters
    ----------
    elements : int
        Of a token.
    width : int
        Signed bits of an element, everywhere.
    tokens : int
        Tokens that may be in the branch at once.
    lanes : int
        Elements at once, of which a token has a multiple.

    Members
    -------
    skip : ``In(TokenLink(width, lanes))``
        Tokens as they go into the branch.
    i : ``In(TokenLink(width, lanes))``
        As they leave it, never earlier.
    o : ``Out(TokenLink(width, lanes))``
    """

    latency = 4
    """Cycles from an element of the branch to the sum."""

    def __init__(self, elements: int, width: int, tokens: int, lanes: int = 1):
        self.beats = elements // lanes
        self.lanes = lanes
        self.width = width
        self.tokens = tokens
        super().__init__(
            {
                "skip": In(TokenLink(width, lanes)),
                "i": In(TokenLink(width, lanes)),
                "o": Out(TokenLink(width, lanes)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        depth = self.beats * self.tokens
        m.submodules.kept = kept = memory.Memory(
            shape=unsigned(self.lanes * self.width), depth=depth, init=[],
            attrs={"ram_style": "block", "no_rw_check": 1},
        )
        write = kept.write_port()
        read = kept.read_port()
        head = Signal(range(depth))
        tail = Signal(range(depth))
        leaving = Signal(range(self.beats))
        left = Signal()
        m.d.comb += [
            write.en.eq(delay(m, self.skip.valid, 1, name="write_enable", reset=True)),
            write.addr.eq(register(m, head, name="write_address")),
            write.data.eq(register(m, Cat(*elements_of(self.skip)), name="write_data")),
            read.addr.eq(tail),
            left.eq(self.i.valid & (leaving == self.beats - 1)),
            self.skip.room.eq(room_for(m, self.tokens, left, self.skip.begin, name="skip_room")),
            self.i.room.eq(self.o.room),
            self.o.begin.eq(self.i.begin),
        ]
        with m.If(self.skip.valid):
            m.d.sync += head.eq(Mux(head == depth - 1, 0, head + 1))
        with m.If(self.i.valid):
            m.d.sync += [
                tail.eq(Mux(tail == depth - 1, 0, tail + 1)),
                leaving.eq(Mux(left, 0, leaving + 1)),
            ]

        sums = []
        for lane, element in enumerate(elements_of(self.i)):
            def kept(value, name, lane=lane):
                return register(m, value, name=lane_name(name, lane, self.lanes))

            around = kept(read.data.word_select(lane, self.width).as_signed(), "around")
            branch = delay(m, element, 2, name=lane_name("branch", lane, self.lanes))
            total = kept(around + branch, "total")
            sums.append(kept(saturate(total, self.width), "sum"))
        m.d.comb += [
            *send(self.o, sums),
            self.o.valid.eq(delay(m, self.i.valid, self.latency, name="valid", reset=True)),
        ]
        return m
