# SPDX-License-Identifier: Apache-2.0
"""From the numbers of tokens, as they come, to tokens at their positions."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ecoformer.hw.lib.loading import LoadChain, load_ports
from ecoformer.hw.lib.pipeline import below, delay, register
from ecoformer.hw.network.link import TokenLink, lane_name, send
from ecoformer.hw.network.requantise import saturate
from ecoformer.hw.network.tags import TokenTag
from ecoformer.hw.stream.contexts import ContextTable
from ecoformer.spec.network.decoder import DecoderDesign, TokenError
from ecoformer.spec.network.image import NetworkImage
from ecoformer.spec.network.memories import constant_rows

__all__ = ["Embedding", "TokenBeat"]


class TokenBeat(data.StructLayout):
    """A token: its number and its context, and whether the context is empty before it."""

    def __init__(self, design: DecoderDesign):
        super().__init__(
            {"data": 8 * design.token_bytes, "context": design.context_width, "begin": 1}
        )


class Embedding(wiring.Component):
    """Finds the context of a token, and adds what its number and its position stand for.

    A token that is an error is sent like any other, so that answers stay in order; its context is
    lost from then on. A load of parameters, through `load_ports` if the design is loadable, loses
    all contexts.

    Parameters
    ----------
    design : DecoderDesign
    image : NetworkImage

    Members
    -------
    i : ``In(stream.Signature(TokenBeat))``
        A token waits two cycles for its context.
    o : ``Out(TokenLink(residual_width, lanes))``
    tag : ``Out(TokenTag)``, cause : ``Out(2)``, tagged : ``Out(1)``
        Strobe: a token with this tag began on ``o`` in the cycle before; its error, or 0.
    ready : ``In(1)``
        Another token may begin, if none did in the cycle before.
    """

    def __init__(self, design: DecoderDesign, image: NetworkImage):
        self.design = design
        self.tables = {name: image.arrays[name] for name in design.constants}
        self.beats = design.beats(design.width)
        super().__init__(
            {
                "i": In(stream.Signature(TokenBeat(design))),
                "o": Out(TokenLink(design.residual_width, design.lanes)),
                "tag": Out(TokenTag(design)),
                "cause": Out(range(TokenError.NO_TOKEN + 1)),
                "tagged": Out(1),
                "ready": In(1),
                **load_ports(design.loadable),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from ``o.begin`` to the token's last element."""
        return self.beats + self._sum_latency

    _sum_latency = 4
    """Cycles from the addresses of an element's two rows to their sum."""

    def elaborate(self, platform) -> Module:
        m = Module()
        beat = self.i.payload
        table = ContextTable(self.design.engine)
        chain = LoadChain(m, self)
        m.submodules.contexts = ResetInserter(self.load.start)(table) if chain.loads else table
        rows, active, last, begins = {}, Signal(), Signal(), Signal()
        place = Signal.like(table.count)
        cause = Signal.like(self.cause)
        with m.If(table.found):
            self._judge(m, table.count, place, cause)
        index = Signal(range(self.beats))
        m.d.comb += [
            table.offered.eq(self.i.valid),
            table.context.eq(beat.context),
            table.taken.eq(begins),
            table.close.eq(begins),
            table.closed.eq(beat.context),
            table.left.eq(Mux(cause != 0, 0, place + 1)),
            last.eq(active & (index == self.beats - 1)),
            self.i.ready.eq(table.ready & self.ready & self.o.room & (~active | last)),
            begins.eq(self.i.valid & self.i.ready),
            self.o.begin.eq(begins),
        ]
        # What it tells goes far: from a register.
        m.d.sync += [
            self.tagged.eq(begins),
            self.cause.eq(cause),
            self.tag.context.eq(beat.context),
            self.tag.count.eq(place + 1),
            self.tag.error.eq(cause != 0),
        ]
        numbers = {"embedding": Mux(cause == TokenError.NO_TOKEN, 0, beat.data), "positions": place}
        for name, number in numbers.items():
            row = Signal(range(len(self.tables[name])), name=f"{name}_row")
            with m.If(begins):
                m.d.sync += row.eq(number)
            rows[name] = Cat(index, row)
        with m.If(begins):
            m.d.sync += [active.eq(1), index.eq(0)]
        with m.Elif(active):
            m.d.sync += [active.eq(~last), index.eq(index + 1)]
        self._add(m, chain, rows, active)
        chain.end()
        return m

    def _judge(self, m, count, place, cause):
        """Register the position of the token on offer, and its error."""
        d, beat = self.design, self.i.payload
        lost = ~below(beat.context, d.contexts) | ((count == 0) & ~beat.begin)
        full = (count == d.positions) & ~beat.begin
        unknown = ~below(beat.data, d.vocabulary)
        m.d.sync += [
            place.eq(Mux(beat.begin | full, 0, count)),
            cause.eq(Mux(
                lost, TokenError.CONTEXT_LOST.value,
                Mux(full, TokenError.TOO_LONG.value, Mux(unknown, TokenError.NO_TOKEN.value, 0)),
            )),
        ]

    def _add(self, m, chain, rows, active):
        """Send the sums of two rows."""
        d = self.design
        lanes, width = d.lanes, d.residual_width
        read = {}
        for name, values in self.tables.items():
            words = constant_rows(values, d.constant_stride, lanes, width)
            port = chain.memory(f"{name}_rows", lanes * width, words).read_port()
            m.d.comb += port.addr.eq(rows[name])
            read[name] = register(m, port.data[: lanes * width], name=f"{name}_read")
        sums = []
        for lane in range(lanes):
            terms = [word.word_select(lane, width).as_signed() for word in read.values()]
            total = register(m, terms[0] + terms[1], name=lane_name("total", lane, lanes))
            sums.append(register(m, saturate(total, width), name=lane_name("sum", lane, lanes)))
        m.d.comb += [
            *send(self.o, sums),
            self.o.valid.eq(delay(m, active, self._sum_latency, name="valid", reset=True)),
        ]
