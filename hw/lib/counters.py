"""Event counters in one memory, which take an adder and a few bits each instead of a word each."""

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ecoformer.hw.lib.pipeline import delay, register

__all__ = ["Counters"]

TURN = 4
"""Cycles of a turn: the last one's sum is written, a memory answers, its answer is registered,
what was missed is added."""


class Counters(wiring.Component):
    """Counters that all may count in every cycle, and wrap.

    What a counter missed waits in a few bits of its own until its turn. A turn goes to the counter
    that is to be read, if the last one did not, else to the next one in order.

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
        Asks for a counter, until ``done``. Any other index is answered, too, with anything.
    value : ``Out(width)``
        Its events up to the fifth cycle before, with ``done``.
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
        """Events between two turns of a counter, with a read between any two turns in order."""
        return 2 * self.count * TURN

    def elaborate(self, platform):
        m = Module()
        m.submodules.words = words = memory.Memory(
            shape=unsigned(self.width), depth=1 << len(self.index), init=[],
            attrs={"ram_style": "block", "no_rw_check": 1},
        )
        word = words.read_port()
        update = words.write_port()
        phase = Signal(TURN, init=1)
        adding = phase[-1]
        asked = Signal()  # the turn is a read's
        turn = Signal(range(self.count))
        chosen = Signal(range(self.count))
        m.d.sync += phase.eq(phase.rotate_left(1))
        with m.If(adding):
            m.d.sync += asked.eq(self.read & ~asked)
            with m.If(self.read & ~asked):
                m.d.sync += chosen.eq(self.index)
            with m.Else():
                m.d.sync += [
                    chosen.eq(turn),
                    turn.eq(Mux(turn == self.count - 1, 0, turn + 1)),
                ]

        written = Signal(self.count)  # a word counts only if it was, because a memory has no reset
        missed = 0
        for i, event in enumerate(self.events):
            served = Signal(name=f"served_{i}")
            waiting = Signal(range(self.most_missed + 1), name=f"missed_{i}")
            m.d.comb += served.eq(phase[0] & (chosen == i))
            m.d.sync += waiting.eq(Mux(served, 0, waiting) + event)
            with m.If(adding & (chosen == i)):
                m.d.sync += written[i].eq(1)
            missed |= Mux(served, waiting, 0)
        missed = delay(m, missed, TURN - 1, name="missed")
        there = register(m, written.bit_select(chosen, 1), name="there")
        answer = register(m, word.data, name="answer")
        total = Mux(there, answer, 0).as_signed() + Cat(missed, C(0, 1)).as_signed()
        m.d.sync += self.done.eq(adding & asked)
        m.d.comb += [
            word.addr.eq(chosen),
            self.value.eq(register(m, total[: self.width], name="total")),
            update.addr.eq(register(m, chosen, name="summed")),
            update.data.eq(self.value),
            update.en.eq(phase[0]),
        ]
        return m
