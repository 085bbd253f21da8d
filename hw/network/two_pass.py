# SPDX-License-Identifier: Apache-2.0
"""Layers that need a number of the whole token before they can compute its first element."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out, connect, flipped

from ecoformer.hw.lib.pipeline import delay, register
from ecoformer.hw.lib.steps import Steps
from ecoformer.hw.network.link import TokenLink
from ecoformer.hw.network.token_buffer import TokenBuffer

__all__ = ["TwoPass"]

MARGIN = 6
"""Cycles for which a slot is taken beyond those in which its token arrives and leaves."""


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

    Members
    -------
    i : ``In(TokenLink(input_width))``
    o : ``Out(TokenLink(output_width))``
    """

    gather_latency: int
    """Cycles from a token's last element to what is known of it then."""
    emit_latency: int
    """Cycles of :meth:`emit`."""

    def __init__(
        self,
        elements: int,
        input_width: int,
        output_width: int,
        gathered: data.StructLayout,
        slots: int,
    ):
        self.elements = elements
        self.slots = slots
        self.gathered = gathered
        super().__init__({"i": In(TokenLink(input_width)), "o": Out(TokenLink(output_width))})

    def gather(self, m: Module, first: Value, last: Value) -> tuple[Value, dict]:
        """Work on the element of ``i``, the ``first`` or ``last`` of a token.

        Returns a strobe, once a token and in their order, and what is known then, by name.
        """
        raise NotImplementedError

    def emit(self, m: Module, element: Value, known: data.View) -> Value:
        """An output element, ``emit_latency`` cycles after its input element."""
        raise NotImplementedError

    @classmethod
    def slots_for(cls, elements: int, entering: int, cycles: int) -> int:
        """Tokens at once with which one can begin every ``cycles`` cycles.

        Parameters
        ----------
        entering : int
            Cycles from the announcement of a token to its last element.
        """
        return -(-(entering + cls.gather_latency + elements + MARGIN) // cycles)

    @property
    def latency(self) -> int:
        """Cycles from ``o.begin`` to the token's last element."""
        return self.elements + TokenBuffer.LATENCY + 1 + self.emit_latency

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.buffer = buffer = TokenBuffer(
            self.elements, self.i.signature.width, slots=self.slots
        )
        m.submodules.steps = steps = Steps(self.elements, 1)
        m.submodules.waiting = waiting = SyncFIFO(width=self.gathered.size, depth=buffer.slots)
        connect(m, flipped(self.i), buffer.i)
        index = Signal(range(self.elements))
        last = Signal()
        m.d.comb += last.eq(self.i.valid & (index == self.elements - 1))
        with m.If(self.i.valid):
            m.d.sync += index.eq(Mux(last, 0, index + 1))
        found, values = self.gather(m, index == 0, last)
        entry = Signal(self.gathered)
        m.d.comb += [
            *(entry[name].eq(value) for name, value in values.items()),
            waiting.w_stream.valid.eq(found),
            waiting.w_stream.payload.eq(entry),
        ]

        start = Signal()
        known = Signal(self.gathered)
        m.d.comb += [
            # The token itself is complete by now.
            start.eq(waiting.r_stream.valid & self.o.room & (~steps.active | steps.done)),
            waiting.r_stream.ready.eq(start),
            steps.start.eq(start),
            buffer.take.eq(start),
            buffer.release.eq(steps.done),
            buffer.row.eq(steps.input_step),
            self.o.begin.eq(start),
        ]
        # Held while the token's elements leave, and a step behind it.
        next_known = Signal(self.gathered)
        with m.If(start):
            m.d.sync += next_known.eq(waiting.r_stream.payload)
        m.d.sync += known.eq(next_known)
        element = register(m, buffer.elements[0], name="element")
        known = data.View(
            self.gathered, register(m, known.as_value(), name="known_operand")
        )
        travel = TokenBuffer.LATENCY + 1 + self.emit_latency
        m.d.comb += [
            self.o.element.eq(self.emit(m, element, known)),
            self.o.valid.eq(delay(m, steps.active, travel, name="valid", reset=True)),
        ]
        return m
