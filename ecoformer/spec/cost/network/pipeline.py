# SPDX-License-Identifier: Apache-2.0
"""The layers of a network along the path of a token, each as what it takes."""

from __future__ import annotations

from dataclasses import replace

from ecoformer.spec.choices import Mask
from ecoformer.spec.cost.network.attention import HeadsLayer
from ecoformer.spec.cost.network.elementwise import ActivationLayer, PositionsLayer, ResidualLayer
from ecoformer.spec.cost.network.ends import (
    IMAGES,
    AnswersLayer,
    EmbeddingLayer,
    LoadingLayer,
    PatchesLayer,
    PoolLayer,
    ScoresLayer,
)
from ecoformer.spec.cost.network.layer import Layer
from ecoformer.spec.cost.network.linear import LinearLayer
from ecoformer.spec.cost.network.norm import NormLayer
from ecoformer.spec.cost.network.ring import RingLayer
from ecoformer.spec.network.decoder import DecoderDesign
from ecoformer.spec.network.design import NetworkDesign
from ecoformer.spec.network.load import Design
from ecoformer.spec.network.transformer import ACTIVATION_WIDTH, Transformer

__all__ = ["layers"]

OUTSIDE = 8
"""Tokens of a decoder that may be before and behind its blocks."""
ENDS = 4
"""Images that may be before and behind the blocks, beside those in the memory of pixels."""


def layers(design: Design) -> list[Layer]:
    """Every layer by the names of the manifest, and ``loading`` where parameters can be loaded."""
    return _Decoder(design).layers if isinstance(design, DecoderDesign) else _Images(design).layers


class _Pipeline:
    """Adds layer after layer, each with how long a token takes to it.

    Parameters
    ----------
    design : Transformer
    """

    def __init__(self, design: Transformer):
        self.design = design
        self.cycles = design.steady_cycles
        self.block_cycles = design.steady_block_cycles
        self.layers: list[Layer] = []
        self.add()
        if design.loadable:
            self.layers.append(LoadingLayer("loading", True, design))

    def add(self) -> None:
        """Add all layers."""
        raise NotImplementedError

    def linear(self, name: str, entering: int) -> LinearLayer:
        """The linear layer ``name``, whose tokens take ``entering`` cycles to come."""
        d, of_network = self.design, self.design.linear_hardware[name]
        return LinearLayer(
            name, d.loadable, d.linears[of_network], d.fold(of_network), entering,
            *self._cycles_and_layers(name),
        )

    def norm(self, name: str, entering: int) -> NormLayer:
        """The norm ``name``, whose tokens take ``entering`` cycles to come."""
        d, one_pass = self.design, self.design.mask == Mask.CAUSAL
        _, layers = self._cycles_and_layers(name)
        return NormLayer(
            name, d.loadable, d.norm, d.lanes, entering, self.block_cycles, one_pass, layers
        )

    def _cycles_and_layers(self, name):
        """How often a token comes to a layer, and how many of the network it is in turn."""
        if name.startswith("blocks."):
            return self.block_cycles, self.design.passes
        return self.cycles, 1

    def add_blocks(self, entering: int) -> tuple[int, int]:
        """Add all blocks; cycles from the announcement of a token behind them to its last element,
        and tokens that may be inside.
        """
        tokens, block = 0, []
        for number, hardware in enumerate(self.design.block_hardware):
            path = f"{hardware}."
            if number < 2:
                block = self._block(path, entering)
                entering = block[-2].latency + ResidualLayer.latency
            else:  # as the one before
                block = [
                    replace(layer, name=path + layer.name.rsplit(".", 1)[1]) for layer in block
                ]
            self.layers += block
            tokens += sum(layer.tokens for layer in block if isinstance(layer, ResidualLayer))
        return entering, tokens

    def _block(self, path, entering):
        d, lanes = self.design, self.design.lanes
        norm1 = self.norm(f"{path}norm1", entering)
        vectors = self.linear(f"{path}vectors", norm1.leaving)
        heads = HeadsLayer(f"{path}attention", d.loadable, d, vectors.latency, self.block_cycles, 0)
        out = self.linear(f"{path}out", heads.leaving)
        norm2 = self.norm(f"{path}norm2", out.latency + ResidualLayer.latency)
        up = self.linear(f"{path}up", norm2.leaving)
        activation = ActivationLayer(
            f"{path}activation", d.loadable, ACTIVATION_WIDTH, lanes, d.passes
        )
        down = self.linear(f"{path}down", up.latency + activation.latency)
        of_attention = sum(part.latency for part in (norm1, vectors, heads, out))
        of_mlp = sum(part.latency for part in (out, norm2, up, activation, down))
        return [
            norm1, vectors, heads, out,
            self._residual(f"{path}residual1", entering + of_attention + d.attention_wait),
            norm2, up, activation, down, self._residual(f"{path}residual2", of_mlp),
        ]

    def _residual(self, name, cycles):
        """What goes around a branch of so many cycles."""
        d = self.design
        return ResidualLayer(
            name, False, d.beats(d.width), d.residual_width, d.tokens_in_branch(cycles), d.lanes
        )


class _Images(_Pipeline):
    """Of a network that takes images."""

    design: NetworkDesign

    def add(self) -> None:
        d = self.design
        patches = PatchesLayer("patches", False, d)
        stem = self.linear("stem", patches.latency)
        rows = d.tokens * d.width
        positions = PositionsLayer("positions", d.loadable, d.residual_width, rows)
        self.layers += [patches, stem, positions]
        if d.rolled:
            entering, tokens = self._add_shared_block()
        else:
            entering, tokens = self.add_blocks(stem.latency + positions.latency)
        images = IMAGES + ENDS + -(-tokens // d.tokens)
        self.layers += [
            self.norm("norm", entering), PoolLayer("pool", False, d),
            # One sum comes for every image: it never waits for room.
            self.linear("classifier", 0), ScoresLayer("scores", False, d, images),
        ]

    def _add_shared_block(self):
        """Add the block that all share, and the ring around it; like `add_blocks`."""
        at = len(self.layers)
        entering, inside = self.add_blocks(RingLayer.latency_of(self.design.width))
        ring = RingLayer("ring", False, self.design, inside)
        self.layers.insert(at, ring)
        return entering, inside + ring.tokens


class _Decoder(_Pipeline):
    """Of a decoder."""

    design: DecoderDesign

    def add(self) -> None:
        d = self.design
        embedding = EmbeddingLayer("embedding", d.loadable, d)
        self.layers.append(embedding)
        entering, tokens = self.add_blocks(embedding.latency)
        tokens += OUTSIDE
        self.layers = [
            replace(layer, tags=tokens) if isinstance(layer, HeadsLayer) else layer
            for layer in self.layers
        ]
        norm = self.norm("norm", entering)
        classifier = self.linear("classifier", norm.leaving)
        answers = AnswersLayer("answers", False, d, tokens, classifier.latency, self.cycles)
        self.layers += [norm, classifier, answers]
