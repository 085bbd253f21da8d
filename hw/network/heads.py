# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The attention of a block: a datapath for every head, between two streams of elements."""

from functools import reduce
from operator import and_

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ecoformer.hw.engine.datapath import Datapath
from ecoformer.hw.lib.pipeline import delay, register
from ecoformer.hw.network.link import TokenLink
from ecoformer.hw.parameters.memory import Slots
from ecoformer.hw.stream.words import Result, Words
from ecoformer.spec.network.design import ACTIVATION_WIDTH, NetworkDesign
from ecoformer.spec.parameters import ParameterImage

__all__ = ["Heads"]

AHEAD = 2
"""Tokens that may have begun before a head takes the first: one is on offer while one arrives."""


class Heads(wiring.Component):
    """Attention of all heads of a block, which get their vectors one head after another.

    Parameters
    ----------
    design : NetworkDesign
    image : ParameterImage
        A set for every head.

    Members
    -------
    i : ``In(TokenLink(ACTIVATION_WIDTH))``
        Head by head its vectors, in the order of the wire: x and v, or q, k and v.
    o : ``Out(TokenLink(output_width))``
        Head by head its answer.
    """

    def __init__(self, design: NetworkDesign, image: ParameterImage):
        self.design = design
        self.engine = design.engine
        self.paths = [
            Datapath(design.engine, Slots.holding(design.engine, image, head))
            for head in range(design.heads)
        ]
        super().__init__(
            {
                "i": In(TokenLink(ACTIVATION_WIDTH)),
                "o": Out(TokenLink(design.engine.output_width)),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from a token on ``i`` to its answer, beyond N + 1 tokens of the datapath's k."""
        return self.paths[0].latency + 2 * self.design.width

    def elaborate(self, platform) -> Module:
        m = Module()
        for head, path in enumerate(self.paths):
            m.submodules[f"head_{head}"] = path
        self._feed(m)
        self._collect(m)
        return m

    # -- vectors ---------------------------------------------------------------------------------

    def _feed(self, m):
        """Hand every head its vectors."""
        d = self.design
        vectors = [side.vector for side in self.engine.sides.all] + ["v"]
        head = Signal(d.heads, init=1)
        vector = Signal(len(vectors), init=1)
        index = Signal(range(d.head_dim))
        vector_ends, token_ends = Signal(), Signal()
        m.d.comb += [
            vector_ends.eq(self.i.valid & (index == d.head_dim - 1)),
            token_ends.eq(vector_ends & vector[-1]),
        ]
        with m.If(self.i.valid):
            m.d.sync += index.eq(Mux(vector_ends, 0, index + 1))
        with m.If(vector_ends):
            m.d.sync += vector.eq(vector.rotate_left(1))
        with m.If(token_ends):
            m.d.sync += head.eq(head.rotate_left(1))

        rooms = []
        for number, path in enumerate(self.paths):
            mine, ends = Signal(name=f"mine_{number}"), Signal(name=f"ends_{number}")
            ahead = Signal(range(AHEAD + 1), name=f"ahead_{number}")
            taken = path.i.valid & path.i.ready
            m.d.comb += [mine.eq(self.i.valid & head[number]), ends.eq(token_ends & head[number])]
            m.d.sync += ahead.eq(ahead + self.i.begin - taken)
            rooms.append(ahead != AHEAD)
            feed = self._feed_serial if self.engine.is_serial else self._feed_whole
            feed(m, number, path, vectors, mine, ends, taken, vector, index)
            place = Signal(range(d.tokens), name=f"place_{number}")
            last = place == d.tokens - 1
            with m.If(taken):
                m.d.sync += place.eq(Mux(last, 0, place + 1))
            m.d.comb += path.i.payload.tag.last.eq(last)
        m.d.comb += self.i.room.eq(reduce(and_, rooms))

    def _feed_serial(self, m, number, path, vectors, mine, ends, taken, vector, index):
        """Pass elements on as they come; a token is on offer once its last one has."""
        waiting = Signal(range(AHEAD + 1), name=f"waiting_{number}")
        m.d.sync += waiting.eq(waiting + ends - taken)
        m.d.comb += path.i.valid.eq(waiting != 0)
        for place, name in enumerate(vectors):
            port = getattr(path.i, name)
            m.d.comb += [
                port.enable.eq(mine & vector[place]),
                port.index.eq(index),
                port.data.eq(self.i.element),
                port.done.eq(ends),
            ]

    def _feed_whole(self, m, number, path, vectors, mine, ends, taken, vector, index):
        """Collect whole vectors; a token waits beside the one on offer until that is taken."""
        width, d = ACTIVATION_WIDTH, self.design
        elements = len(vectors) * d.head_dim
        arriving = Signal(width * elements, name=f"arriving_{number}", reset_less=True)
        complete = Signal(name=f"complete_{number}")
        with m.If(mine):
            m.d.sync += arriving.eq(Cat(arriving[width:], self.i.element))
        payload = Signal.like(arriving, name=f"offered_{number}")
        moves = Signal(name=f"moves_{number}")
        offered = Signal(name=f"is_offered_{number}")
        m.d.comb += [moves.eq(complete & (~offered | taken)), path.i.valid.eq(offered)]
        m.d.sync += complete.eq(ends | (complete & ~moves))
        with m.If(moves):
            m.d.sync += [payload.eq(arriving), offered.eq(1)]
        with m.Elif(taken):
            m.d.sync += offered.eq(0)
        size = width * d.head_dim
        m.d.comb += [
            Value.cast(path.i.payload[name]).eq(payload[place * size : (place + 1) * size])
            for place, name in enumerate(vectors)
        ]

    # -- answers ---------------------------------------------------------------------------------

    def _collect(self, m):
        """Send the answers of all heads, one head after another."""
        words, layout = Words(self.engine), Result(self.engine)
        width = self.engine.output_width
        head = Signal(len(self.paths), init=1)
        active, sends, word_ends, token_ends = Signal(), Signal(), Signal(), Signal()
        place = Signal(range(words.elements))
        offers, offered = Signal(), Signal(layout)
        # A memory takes half of a cycle to answer: its word is registered before anything else. At
        # a cycle more for every word, k still has room for all: a token's vectors are longer.
        held, word = Signal(), Signal(layout, reset_less=True)
        for number, path in enumerate(self.paths):
            with m.If(head[number]):
                m.d.comb += [offers.eq(path.o.valid), offered.eq(path.o.payload)]
            m.d.comb += path.o.ready.eq(head[number] & ~held)
        with m.If(~held):
            m.d.sync += [word.eq(offered), held.eq(offers)]
        with m.Elif(word_ends):
            m.d.sync += held.eq(0)
        element = word.elements.as_value().word_select(place, width)
        last_place = Mux(word.end, words.last_elements - 1, words.elements - 1)
        m.d.comb += [
            self.o.begin.eq(~active & held & head[0] & self.o.room),
            sends.eq(active & held),
            word_ends.eq(sends & (place == last_place)),
            token_ends.eq(word_ends & word.end),
            self.o.valid.eq(delay(m, sends, 1, name="valid", reset=True)),
            self.o.element.eq(register(m, element, name="element")),
        ]
        with m.If(self.o.begin):
            m.d.sync += active.eq(1)
        with m.If(sends):
            m.d.sync += place.eq(Mux(word_ends, 0, place + 1))
        with m.If(token_ends):
            m.d.sync += head.eq(head.rotate_left(1))
            with m.If(head[-1]):
                m.d.sync += active.eq(0)
