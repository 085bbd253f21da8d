# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The attention of a block: a datapath for every head, between two streams of elements."""

from collections.abc import Sequence
from functools import reduce
from operator import and_

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from ecoformer.hw.engine.datapath import Datapath
from ecoformer.hw.lib.loading import LoadChain, load_ports
from ecoformer.hw.lib.pipeline import delay, register
from ecoformer.hw.network.feeds import feed_class, tokens_ahead
from ecoformer.hw.network.link import TokenLink, elements_of, room_for
from ecoformer.hw.network.passes import Passes
from ecoformer.hw.network.set_loader import SetLoader
from ecoformer.hw.network.tags import ContextTags, PassTags, PlaceTags, TokenTag
from ecoformer.hw.parameters.memory import Slots
from ecoformer.hw.stream.words import Result, Words
from ecoformer.spec.choices import Mask
from ecoformer.spec.memory_map import MemoryMap
from ecoformer.spec.network.transformer import ACTIVATION_WIDTH, Transformer
from ecoformer.spec.parameters import ParameterImage

__all__ = ["Heads"]


class Heads(wiring.Component):
    """Attention of all heads of a block, which get their vectors one head after another.

    Vectors of a head are whole beats.

    Parameters
    ----------
    design : Transformer
    images : sequence of ParameterImage
        A set for every head; where it is several layers in turn, of each.
    entering : int
        Cycles from the announcement of a token to its last element.
    passes : Passes or None
        Where it is several layers in turn, for which it is.

    Attributes
    ----------
    waiting_tags : int
        Under a causal mask, the most tokens between ``tagged`` and the beginning of ``i``. Their
        network knows.

    Members
    -------
    i : ``In(TokenLink(ACTIVATION_WIDTH, lanes))``
        Head by head its vectors, in the order of the wire: x and v, or q, k and v.
    o : ``Out(TokenLink(output_width, lanes))``
        Head by head its answer.
    tag : ``In(TokenTag)``, tagged : ``In(1)``
        Only under a causal mask. Strobe: a token with this tag enters the network; before it
        begins on ``i``.
    load, loaded : ``In(LoadLink)``, ``Out(LoadLink)``
        If the design is loadable.
    """

    def __init__(
        self,
        design: Transformer,
        images: Sequence[ParameterImage],
        entering: int,
        passes: Passes | None = None,
    ):
        self.design = design
        self.passes = passes
        self.engine = design.engine
        self.paths = [
            Datapath(design.engine, Slots.holding(design.engine, images, head))
            for head in range(design.heads)
        ]
        self.lanes = design.lanes
        self.waiting_tags = 1
        self.entering = entering
        self.ahead = tokens_ahead(entering, design.steady_block_cycles)
        causal = design.mask == Mask.CAUSAL
        super().__init__(
            {
                "i": In(TokenLink(ACTIVATION_WIDTH, self.lanes)),
                "o": Out(TokenLink(design.engine.output_width, self.lanes)),
                **({"tag": In(TokenTag(design)), "tagged": In(1)} if causal else {}),
                **load_ports(design.loadable),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from a token on ``i`` to its answer, beyond `Transformer.waits` tokens' k."""
        return self.paths[0].latency + 2 * self.design.beats(self.design.width)

    @property
    def leaving(self) -> int:
        """Cycles from the announcement of a token on ``o`` to its last element.

        Its heads answer one after another, as their vectors come.
        """
        return self.entering + self.engine.cycles_per_token + self.design.width // self.lanes

    def elaborate(self, platform) -> Module:
        m = Module()
        for head, path in enumerate(self.paths):
            m.submodules[f"head_{head}"] = path
        if self.design.loadable:
            self._load(m)
        self._feed(m)
        self._collect(m)
        return m

    def _load(self, m):
        """Load the memories of one head after another."""
        m.submodules.loader = loader = SetLoader(
            MemoryMap(self.engine), len(self.paths), self.design.passes,
            Slots.of(self.engine).count,
        )
        for path, write in zip(self.paths, loader.writes, strict=True):
            connect(m, write, path.write)
        chain = LoadChain(m, self)
        chain.through(loader)
        chain.end()

    # -- vectors ---------------------------------------------------------------------------------

    def _feed(self, m):
        """Hand every head its vectors."""
        d = self.design
        vectors = [side.vector for side in self.engine.sides.all] + ["v"]
        head = Signal(d.heads, init=1)
        vector = Signal(len(vectors), init=1)
        beats = d.beats(d.head_dim)
        index = Signal(range(beats))
        vector_ends, token_ends = Signal(), Signal()
        m.d.comb += [
            vector_ends.eq(self.i.valid & (index == beats - 1)),
            token_ends.eq(vector_ends & vector[-1]),
        ]
        with m.If(self.i.valid):
            m.d.sync += index.eq(Mux(vector_ends, 0, index + 1))
        with m.If(vector_ends):
            m.d.sync += vector.eq(vector.rotate_left(1))
        with m.If(token_ends):
            m.d.sync += head.eq(head.rotate_left(1))

        rooms, feed, tags = [], feed_class(self.engine, self.ahead), self._tags()
        tags.begin(m, self.i.begin)
        for number, path in enumerate(self.paths):
            mine, ends = Signal(name=f"mine_{number}"), Signal(name=f"ends_{number}")
            taken = path.i.valid & path.i.ready
            feed(
                path, vectors, elements=elements_of(self.i), mine=mine, ends=ends, vector=vector,
                index=index, name=str(number), ahead=self.ahead,
            ).add_to(m)
            m.d.comb += [
                mine.eq(self.i.valid & head[number]),
                ends.eq(token_ends & head[number]),
            ]
            tags.give(m, path, number, taken)
            rooms.append(room_for(m, self.ahead, taken, self.i.begin, name=f"room_{number}"))
        m.d.comb += self.i.room.eq(reduce(and_, rooms))

    def _tags(self):
        """What tags the tokens of every head."""
        if self.design.mask == Mask.CAUSAL:
            return ContextTags(self.design, self.tag, self.tagged, self.waiting_tags, self.ahead)
        return PassTags(self.design, self.passes) if self.passes else PlaceTags(self.design)

    # -- answers ---------------------------------------------------------------------------------

    def _collect(self, m):
        """Send the answers of all heads, one head after another."""
        words, layout = Words(self.engine), Result(self.engine)
        width = self.engine.output_width
        head = Signal(len(self.paths), init=1)
        active, sends, word_ends, token_ends = Signal(), Signal(), Signal(), Signal()
        lanes = self.lanes
        place = Signal(range(-(-words.elements // lanes)))
        held, word = Signal(), Signal(layout)
        for number, path in enumerate(self.paths):
            # A memory takes half of a cycle to answer: its word is registered before anything else.
            mine = Signal(name=f"held_{number}")
            next_word = Signal(layout, name=f"word_{number}", reset_less=True)
            m.d.comb += path.o.ready.eq(~mine)
            with m.If(~mine):
                m.d.sync += [next_word.eq(path.o.payload), mine.eq(path.o.valid)]
            with m.Elif(head[number] & word_ends):
                m.d.sync += mine.eq(0)
            with m.If(head[number]):
                m.d.comb += [held.eq(mine), word.eq(next_word)]
        # At a cycle more for every word, k still has room for all, but for no other cycle: the
        # vectors of a token are as long. So it is announced while its first word is registered.
        begins = self.o.room & (self.paths[0].o.valid | held)
        # A token is one word where several elements leave at once.
        assert lanes == 1 or words.count == 1 and words.last_elements % lanes == 0
        elements = word.elements.as_value().word_select(place, lanes * width)
        last_place = Mux(
            word.end, words.last_elements // lanes - 1, -(-words.elements // lanes) - 1
        )
        m.d.comb += [
            self.o.begin.eq(~active & head[0] & begins),
            sends.eq(active & held),
            word_ends.eq(sends & (place == last_place)),
            token_ends.eq(word_ends & word.end),
            self.o.valid.eq(delay(m, sends, 1, name="valid", reset=True)),
            Value.cast(self.o.element).eq(register(m, elements, name="element")),
        ]
        with m.If(self.o.begin):
            m.d.sync += active.eq(1)
        with m.If(sends):
            m.d.sync += place.eq(Mux(word_ends, 0, place + 1))
        with m.If(token_ends):
            m.d.sync += head.eq(head.rotate_left(1))
            with m.If(head[-1]):
                m.d.sync += active.eq(0)
