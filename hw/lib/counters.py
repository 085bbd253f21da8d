# SPDX-License-Identifier: Apache-2.0
"""Event counters that share a memory and an adder, with a few bits of their own each."""

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ecoformer.hw.lib.pipeline import delay, register

__all__ = ["Counters"]

TURN = 4
"""Cycles of a turn: write the last turn's sum, read the memory, register its answer, add."""


class Counters(wiring.Component):
    """Counters, each of which may count in every cycle; they wrap.

    A counter's events wait in a few bits of its own until its turn. A turn goes to the counter to
    be read, unless the last one did, and otherwise to the next in order.

    Parameters
    ----------
    count : int
    width : int
        Bits of a counter.

    Members
    -------
    events : ``In(count)``
        Strobes, one for each counter.
    read : ``In(1)``, index : ``In(range(count))``
        Read a counter; hold both until ``done``. An index out of range returns garbage.
    value : ``Out(width)``
        Its events up to five cycles ago, with ``done``.
    done : ``Out(1)``
    """

    def __init__(self, count: int, width: int):
        self.count = count
        self.width = width
        super().__init__(
            {
                "events": In(count),
                "read": In(1),
                "index": In(ceil_log2(count)),
                "value": Out(width),
                "done": Out(1),
            }
        )

    @property
    def most_missed(self) -> int:
        """Most events between two turns of a counter: reads take every second turn."""
        return 2 * self.count * TURN

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.words = words = memory.Memory(
            shape=unsigned(self.width), depth=1 << len(self.index), init=[],
            attrs={"no_rw_check": 1},
        )
        word = words.read_port()
        update = words.write_port()
        phase = Signal(TURN, init=1)
        adding = phase[-1]
        read_turn = Signal()  # the turn belongs to a read
        turn = Signal(range(self.count))
        selected = Signal(range(self.count))
        m.d.sync += phase.eq(phase.rotate_left(1))
        with m.If(adding):
            m.d.sync += read_turn.eq(self.read & ~read_turn)
            with m.If(self.read & ~read_turn):
                m.d.sync += selected.eq(self.index)
            with m.Else():
                m.d.sync += [
                    selected.eq(turn),
                    turn.eq(Mux(turn == self.count - 1, 0, turn + 1)),
                ]

        written = Signal(self.count)  # a memory has no reset: an unwritten word counts as 0
        missed = 0
        for i, event in enumerate(self.events):
            served = Signal(name=f"served_{i}")
            waiting = Signal(range(self.most_missed + 1), name=f"missed_{i}")
            m.d.comb += served.eq(phase[0] & (selected == i))
            m.d.sync += waiting.eq(Mux(served, 0, waiting) + event)
            with m.If(adding & (selected == i)):
                m.d.sync += written[i].eq(1)
            missed |= Mux(served, waiting, 0)
        missed = delay(m, missed, TURN - 1, name="missed")
        valid = register(m, written.bit_select(selected, 1), name="valid")
        answer = register(m, word.data, name="answer")
        total = Mux(valid, answer, 0).as_signed() + Cat(missed, C(0, 1)).as_signed()
        m.d.sync += self.done.eq(adding & read_turn)
        m.d.comb += [
            word.addr.eq(selected),
            self.value.eq(register(m, total[: self.width], name="total")),
            update.addr.eq(register(m, selected, name="summed")),
            update.data.eq(self.value),
            update.en.eq(phase[0]),
        ]
        return m
