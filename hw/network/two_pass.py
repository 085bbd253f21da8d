# SPDX-License-Identifier: Apache-2.0
"""Layers that need a number of the whole token before they can compute its first element."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out, connect, flipped

from ecoformer.hw.lib.loading import load_ports
from ecoformer.hw.lib.pipeline import delay, register, tree_latency
from ecoformer.hw.lib.steps import Steps
from ecoformer.hw.lib.tally import any_left
from ecoformer.hw.network.link import TokenLink, lane_name, send
from ecoformer.hw.network.token_buffer import TokenBuffer

__all__ = ["TwoPass", "adding_latency"]

MARGIN = 6
"""Cycles for which a slot is taken beyond those in which its token arrives and leaves."""
AHEAD = 2
"""Cycles by which a token is begun before what is known of it is needed."""


def adding_latency(lanes: int) -> int:
    """Cycles in which the elements that come at once are added up."""
    return tree_latency(lanes) if lanes > 1 else 0


class TwoPass(wiring.Component):
    """Gathers numbers of a token while it arrives, and then computes an element a cycle.

    Subclasses say what is gathered and what becomes of an element.

    Parameters
    ----------
    elements : int
        Of a token.
    input_width, output_width : int
        Signed bits of an element.
    gathered : StructLayout
        What is known of a token once it has arrived.
    slots : int
        Tokens at once.
    lanes : int
        Elements at once, of which a token has a multiple.
    loads : bool
        Whether what it gathers takes parameters that are loaded, through `load_ports`.

    Members
    -------
    i : ``In(TokenLink(input_width, lanes))``
    o : ``Out(TokenLink(output_width, lanes))``
    """

    gather_latency: int
    """Cycles from a token's last element to what is known of it then, with one at a time."""
    emit_latency: int
    """Cycles of :meth:`emit`."""

    def __init__(
        self,
        elements: int,
        input_width: int,
        output_width: int,
        gathered: data.StructLayout,
        slots: int,
        lanes: int = 1,
        loads: bool = False,
    ):
        self.beats = elements // lanes
        self.lanes = lanes
        self.slots = slots
        self.gathered = gathered
        super().__init__(
            {
                "i": In(TokenLink(input_width, lanes)),
                "o": Out(TokenLink(output_width, lanes)),
                **load_ports(loads),
            }
        )

    def gather(self, m: Module, first: Value, last: Value) -> dict:
        """Work on the elements of ``i``, the ``first`` and ``last`` of a token marked.

        Returns what is known of a token, by name, so long after its last element.
        """
        raise NotImplementedError

    def emit(self, m: Module, elements: list[Value], known: data.View) -> list[Value]:
        """Output elements, ``emit_latency`` cycles after their input elements."""
        raise NotImplementedError

    @classmethod
    def slots_for(cls, elements: int, entering: int, cycles: int) -> int:
        """Tokens at once with which one can begin every ``cycles`` cycles.

        Parameters
        ----------
        elements : int
            Of a token, or as many as come at once count as one.
        entering : int
            Cycles from the announcement of a token to its last element.
        """
        return -(-(entering + cls.gather_latency + elements + MARGIN) // cycles)

    @property
    def gathering(self) -> int:
        """Cycles from a token's last element to ``o.begin``, with nothing to wait for."""
        return self._known_after + 1 - AHEAD

    @property
    def _known_after(self):
        return self.gather_latency + adding_latency(self.lanes)

    @property
    def latency(self) -> int:
        """Cycles from ``o.begin`` to the token's last element."""
        return self.beats + TokenBuffer.LATENCY + 1 + self.emit_latency

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.buffer = buffer = TokenBuffer(
            self.beats * self.lanes, self.i.signature.width, self.lanes, self.slots, self.lanes
        )
        m.submodules.steps = steps = Steps(self.beats, 1)
        m.submodules.waiting = waiting = SyncFIFO(width=self.gathered.size, depth=buffer.slots)
        connect(m, flipped(self.i), buffer.i)
        index = Signal(range(self.beats))
        last = Signal()
        m.d.comb += last.eq(self.i.valid & (index == self.beats - 1))
        with m.If(self.i.valid):
            m.d.sync += index.eq(Mux(last, 0, index + 1))
        soon = delay(m, last, self._known_after - AHEAD, name="soon", reset=True)
        entry = Signal(self.gathered)
        m.d.comb += [
            *(entry[name].eq(value) for name, value in self.gather(m, index == 0, last).items()),
            waiting.w_stream.valid.eq(delay(m, soon, AHEAD, name="found", reset=True)),
            waiting.w_stream.payload.eq(entry),
        ]

        start = Signal()
        # A token of which enough will be known in time; it is complete by then.
        ready = any_left(m, buffer.slots, soon, start, name="ready")
        m.d.comb += [
            start.eq(ready & self.o.room & (~steps.active | steps.done)),
            steps.start.eq(start),
            buffer.take.eq(start),
            buffer.release.eq(steps.done),
            buffer.row.eq(steps.input_step),
            self.o.begin.eq(start),
            waiting.r_stream.ready.eq(delay(m, start, AHEAD, name="needed", reset=True)),
        ]
        known = Signal(self.gathered, reset_less=True)  # held while the token's elements leave
        with m.If(waiting.r_stream.ready):
            m.d.sync += known.eq(waiting.r_stream.payload)
        elements = [
            register(m, buffer.elements[lane], name=lane_name("element", lane, self.lanes))
            for lane in range(self.lanes)
        ]
        travel = TokenBuffer.LATENCY + 1 + self.emit_latency
        m.d.comb += [
            *send(self.o, self.emit(m, elements, known)),
            self.o.valid.eq(delay(m, steps.active, travel, name="valid", reset=True)),
        ]
        return m
