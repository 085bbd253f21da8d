# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""What a token tells the attention beside its vectors: its place, or its context."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.fifo import SyncFIFO

from ecoformer.hw.engine.datapath import Datapath
from ecoformer.hw.lib.pipeline import block_of
from ecoformer.hw.network.passes import Passes
from ecoformer.spec.arithmetic import Arithmetic
from ecoformer.spec.network.transformer import Transformer

__all__ = ["ContextTags", "PassTags", "PlaceTags", "TokenTag"]


class TokenTag(data.StructLayout):
    """Context of a token, how many tokens it has with this one, and whether this one is an error.

    Nothing is remembered of an error, and its answer is dropped.
    """

    def __init__(self, design: Transformer):
        engine = design.engine
        super().__init__(
            {
                "context": engine.wire.tid_width,
                "count": Arithmetic(engine).count_width,
                "error": 1,
            }
        )


class PlaceTags:
    """Tags of heads that see one sequence after another, all equally long: which token is last.

    Parameters
    ----------
    design : Transformer
    """

    def __init__(self, design: Transformer):
        self.design = design

    def begin(self, m: Module, begin: Value) -> None:
        """Be told by the strobe ``begin`` of each token that begins."""

    def give(self, m: Module, path: Datapath, number: int, taken: Value) -> None:
        """Drive the tag of the token on offer to the head ``number``; ``taken`` strobes it."""
        last_place = self.design.tokens - 1
        place = Signal(range(self.design.tokens), name=f"place_{number}")
        last = place == last_place
        m.d.comb += path.i.payload.tag.last.eq(last)
        with m.If(taken):
            m.d.sync += place.eq(Mux(last, 0, place + 1))


class PassTags(PlaceTags):
    """`PlaceTags` of heads that are several layers in turn: also whose parameters a token needs.

    Parameters
    ----------
    design : Transformer
    passes : Passes
    """

    def __init__(self, design: Transformer, passes: Passes):
        super().__init__(design)
        self.passes = passes

    def give(self, m: Module, path: Datapath, number: int, taken: Value) -> None:
        super().give(m, path, number, taken)
        token = path.i.payload
        slot = self.passes.block(m, taken & token.tag.last, name=f"head_{number}")
        m.d.comb += token.slot.eq(slot)


class ContextTags(PlaceTags):
    """Tags of heads whose tokens are of any contexts: they wait in the order of the tokens.

    Parameters
    ----------
    design : Transformer
    tag, tagged : Value
        The tag of a token, and the strobe that it enters the network.
    depth : int
        Tags that may wait.
    ahead : int
        Tokens that may have begun before a head takes the first.
    """

    def __init__(
        self, design: Transformer, tag: data.View, tagged: Value, depth: int, ahead: int
    ):
        super().__init__(design)
        self.layout = TokenTag(design)
        self.tag, self.tagged, self.depth = tag, tagged, depth
        self.begun = [Signal(self.layout, name=f"begun_{i}", reset_less=True) for i in range(ahead)]

    def begin(self, m: Module, begin: Value) -> None:
        m.submodules.tags = tags = SyncFIFO(width=self.layout.size, depth=self.depth)
        m.d.comb += [
            tags.w_stream.payload.eq(self.tag),
            tags.w_stream.valid.eq(self.tagged),
            tags.r_stream.ready.eq(begin),
        ]
        newest = Signal(len(self.begun), init=1)
        with m.If(begin):
            m.d.sync += newest.eq(newest.rotate_left(1))
        for number, entry in enumerate(self.begun):
            with m.If(begin & newest[number]):
                m.d.sync += entry.as_value().eq(tags.r_stream.payload)

    def give(self, m: Module, path: Datapath, number: int, taken: Value) -> None:
        oldest = Signal(len(self.begun), name=f"oldest_{number}", init=1)
        tag = Signal(self.layout, name=f"tag_{number}")
        token = path.i.payload
        with m.If(taken):
            m.d.sync += oldest.eq(oldest.rotate_left(1))
        m.d.comb += [
            tag.as_value().eq(
                block_of(Cat(entry.as_value() for entry in self.begun), oldest, self.layout.size)
            ),
            token.tag.last.eq(1),
            token.tag.error.eq(tag.error),
            token.tag.context.eq(tag.context),
            token.count.eq(tag.count),
        ]
