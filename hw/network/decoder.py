# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""A whole decoder as a pipeline: tokens in, scores or the best token out."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ecoformer.hw.network.answers import Answer, Answers
from ecoformer.hw.network.chain import Chain
from ecoformer.hw.network.embedding import Embedding, TokenBeat
from ecoformer.spec.network.decoder import DecoderDesign
from ecoformer.spec.network.image import NetworkImage

__all__ = ["Decoder"]

BEFORE_AND_BEHIND = 8
"""Tokens that may be in the layers before and behind the blocks."""


class Decoder(Chain):
    """Every layer of a decoder, each at work on a token of its own, of any context.

    Parameters
    ----------
    design : DecoderDesign
    image : NetworkImage
        What the memories of all layers hold from the start.

    Members
    -------
    i : ``In(stream.Signature(TokenBeat))``
    o : ``Out(stream.Signature(Answer))``
        The answer to every token, in the order of the tokens.
    """

    design: DecoderDesign

    def __init__(self, design: DecoderDesign, image: NetworkImage):
        image.check(design)
        self.embedding = Embedding(design, image)
        super().__init__(
            design,
            image,
            {
                "i": In(stream.Signature(TokenBeat(design))),
                "o": Out(stream.Signature(Answer(design))),
            },
            self.embedding.latency,
        )
        self.most = self.tokens + BEFORE_AND_BEHIND
        self.answers = Answers(design, self.most, self.classifier.latency)
        for block in self.blocks:
            block.heads.waiting_tags = self.most

    @property
    def links(self) -> dict[str, wiring.PureInterface]:
        """What every layer sends, by the layer's name in `golden.integer.network.decoder`."""
        return {
            "embedding": self.embedding.o, **self.block_links, "norm": self.norm.o,
            "scores": self.classifier.o,
        }

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.embedding = embedding = self.embedding
        m.submodules.answers = answers = self.answers
        source = self.link(m, embedding.o, {**self.middle, "classifier": self.classifier})
        connect(m, source, answers.i)
        connect(m, flipped(self.i), embedding.i)
        connect(m, answers.o, flipped(self.o))
        m.d.comb += [
            embedding.ready.eq(answers.ready),
            answers.tagged.eq(embedding.tagged),
            answers.context.eq(embedding.tag.context),
            answers.cause.eq(embedding.cause),
        ]
        for block in self.blocks:
            m.d.comb += [
                block.heads.tag.eq(embedding.tag),
                block.heads.tagged.eq(embedding.tagged),
            ]
        self.add_loads(m, [embedding], answers)
        self.probe(m)
        return m
