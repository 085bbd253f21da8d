# SPDX-License-Identifier: Apache-2.0
"""Where the tokens of a layer wait, to be read as often as it takes."""

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ecoformer.hw.lib.pipeline import delay, register
from ecoformer.hw.lib.tally import any_left
from ecoformer.hw.network.link import TokenLink, elements_of, lane_name, room_for
from ecoformer.spec.network.memories import SHALLOW

__all__ = ["TokenBuffer"]


class TokenBuffer(wiring.Component):
    """Tokens in the order of their arrival, of which the oldest is read row by row.

    Room is taken when a token is announced and returned when it has been read. So a source that
    takes k cycles and a reader that does have four tokens between them: one on its way, one that
    waits, one being read, and what the latencies of both add.

    Parameters
    ----------
    elements : int
        Of a token.
    width : int
        Signed bits of an element.
    lanes : int
        Elements of a row, a multiple of ``across``; the last row may have fewer.
    across : int
        Elements that arrive at once.
    slots : int
        Tokens at once.

    Members
    -------
    i : ``In(TokenLink(width, across))``
    complete : ``Out(1)``
        A token that was not taken yet is complete.
    take : ``In(1)``
        Strobe: it is taken; only with ``complete``. It can be read once the one before is released.
    release : ``In(1)``
        Strobe: the oldest token is done with.
    row : ``In``
        Row of the oldest token.
    elements : ``Out(ArrayLayout(signed(width), lanes))``
        ``LATENCY`` cycles later. Lanes beyond the last element hold anything.
    """

    LATENCY = 1

    def __init__(
        self, elements: int, width: int, lanes: int = 1, slots: int = 4, across: int = 1
    ):
        if lanes % across:
            raise ValueError(f"lanes must be a multiple of {across}, not {lanes}")
        self.count = -(-elements // across)
        self.across = across
        self.width = width
        self.lanes = lanes
        self.slots = slots
        self.rows = -(-elements // lanes)
        super().__init__(
            {
                "i": In(TokenLink(width, across)),
                "complete": Out(1),
                "take": In(1),
                "release": In(1),
                "row": In(ceil_log2(self.rows)),
                "elements": Out(data.ArrayLayout(signed(width), lanes)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        depth = self.slots << len(self.row)
        m.submodules.entries = entries = memory.Memory(
            shape=data.ArrayLayout(unsigned(self.width), self.lanes),
            depth=depth,
            init=[],
            attrs={
                "no_rw_check": 1,  # a token is complete before it is read
                "ram_style": "distributed" if depth <= SHALLOW else "block",
            },
        )
        write = entries.write_port(granularity=self.across)
        read = entries.read_port()
        arriving, oldest = (Signal(range(self.slots), name=name) for name in ("arriving", "oldest"))
        row = Signal.like(self.row)
        groups = self.lanes // self.across
        lane = Signal(groups, init=1)
        count = Signal(range(self.count))
        last = Signal()
        m.d.comb += last.eq(self.i.valid & (count == self.count - 1))
        with m.If(self.i.valid):
            m.d.sync += [
                count.eq(count + 1),
                lane.eq(lane.rotate_left(1)),
                row.eq(row + lane[-1]),
            ]
        with m.If(last):
            m.d.sync += [count.eq(0), lane.eq(1), row.eq(0), arriving.eq(self._next(arriving))]
        with m.If(self.release):
            m.d.sync += oldest.eq(self._next(oldest))
        enable = delay(
            m, lane & self.i.valid.replicate(groups), 1, name="write_enable", reset=True
        )
        elements = [
            register(m, e.as_unsigned(), name=lane_name("write_data", number, self.across))
            for number, e in enumerate(elements_of(self.i))
        ]
        m.d.comb += [
            write.en.eq(enable),
            write.addr.eq(register(m, Cat(row, arriving), name="write_address")),
            *(write.data[i].eq(elements[i % self.across]) for i in range(self.lanes)),
            read.addr.eq(Cat(self.row, oldest)),
            *(self.elements[i].eq(read.data[i].as_signed()) for i in range(self.lanes)),
        ]

        # What is complete now is written a cycle before it can be read.
        complete = any_left(m, self.slots, last, self.take, name="complete")
        m.d.comb += [
            self.i.room.eq(room_for(m, self.slots, self.release, self.i.begin)),
            self.complete.eq(complete),
        ]
        return m

    def _next(self, slot):
        return Mux(slot == self.slots - 1, 0, slot + 1)
