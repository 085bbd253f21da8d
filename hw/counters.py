"""Event counters in one memory, which take an adder and a few bits each instead of a word each."""

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

__all__ = ["Counters"]


class Counters(wiring.Component):
    """Counters that all may count in every cycle, and wrap.

    What a counter missed waits in a few bits of its own. In every cycle one counter gets what it
    missed: the one that is read, else the next in turn.

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
        Asks for a counter, at most in every other cycle.
    value : ``Out(width)``
        All events of the counter in the cycles before; valid while ``read``.
    """

    def __init__(self, count, width):
        self.count = count
        self.width = width
        super().__init__(
            {
                "events": In(count),
                "read": In(1),
                "index": In(ceil_log2(count)),
                "value": Out(width),
            }
        )

    @property
    def most_missed(self):
        """Events between two turns of a counter: a turn takes two cycles if all but it are read."""
        return 2 * self.count

    def elaborate(self, platform):
        m = Module()
        m.submodules.words = words = memory.Memory(
            shape=unsigned(self.width), depth=self.count, init=[]
        )
        word = words.read_port(domain="comb")
        update = words.write_port()
        turn = Signal(range(self.count))
        chosen = Signal(range(self.count))
        m.d.comb += chosen.eq(Mux(self.read, self.index, turn))
        with m.If(~self.read):
            m.d.sync += turn.eq(Mux(turn == self.count - 1, 0, turn + 1))

        written = Signal(self.count)  # a word counts only if it was, because a memory has no reset
        missed = 0
        for i, event in enumerate(self.events):
            served = Signal(name=f"served_{i}")
            waiting = Signal(range(self.most_missed + 1), name=f"missed_{i}")
            m.d.comb += served.eq(chosen == i)
            m.d.sync += waiting.eq(Mux(served, 0, waiting) + event)
            with m.If(served):
                m.d.sync += written[i].eq(1)
            missed |= Mux(served, waiting, 0)
        held = Mux(written.bit_select(chosen, 1), word.data, 0)
        m.d.comb += [
            word.addr.eq(chosen),
            self.value.eq(held.as_signed() + Cat(missed, C(0, 1)).as_signed()),
            update.addr.eq(chosen),
            update.data.eq(self.value),
            update.en.eq(1),
        ]
        return m
