# SPDX-License-Identifier: Apache-2.0
"""Where images or tokens enter a network, and where answers leave it."""

from __future__ import annotations

from dataclasses import dataclass

from ecoformer.spec.cost.fabric import Memory
from ecoformer.spec.cost.memories import context_memories
from ecoformer.spec.cost.network.layer import Layer, parameter_memory, queue
from ecoformer.spec.network.decoder import DecoderDesign
from ecoformer.spec.network.design import PIXEL_WIDTH, NetworkDesign
from ecoformer.spec.network.packet import HEADER_BYTES
from ecoformer.spec.network.transformer import Transformer

__all__ = [
    "IMAGES", "AnswersLayer", "EmbeddingLayer", "LoadingLayer", "PatchesLayer", "PoolLayer",
    "ScoresLayer",
]

IMAGES = 2
"""Images in memory: one arrives, one is worked on."""
WAITING, MARGIN = 2, 6
"""Fewest packets whose answers may wait, and cycles for which each does beyond its leaving."""


@dataclass(frozen=True)
class PatchesLayer(Layer):
    """From pixels to windows.

    Parameters
    ----------
    design : NetworkDesign
    """

    design: NetworkDesign

    @property
    def latency(self) -> int:
        """Cycles from the announcement of a token to its last element."""
        return self.design.channels * self.design.kernel**2 + 5

    @property
    def memories(self) -> list[Memory]:
        d = self.design
        return [Memory("pixels", 8 * d.channels, IMAGES << (d.pixels - 1).bit_length(), "block")]

    @property
    def amounts(self) -> dict[str, float]:
        d = self.design
        return {
            "patches": 1,
            "pixel address bits": (d.pixels - 1).bit_length(),
            "pixel bits": PIXEL_WIDTH * d.channels,
        }


@dataclass(frozen=True)
class PoolLayer(Layer):
    """The sum of all tokens of an image.

    Parameters
    ----------
    design : NetworkDesign
    """

    design: NetworkDesign

    @property
    def memories(self) -> list[Memory]:
        return [Memory("sums", self.design.pooled_width, self.design.width)]

    @property
    def amounts(self) -> dict[str, float]:
        return {"pool": 1, "pooled bits": self.design.pooled_width}


@dataclass(frozen=True)
class ScoresLayer(Layer):
    """From the scores of an image to a packet.

    Parameters
    ----------
    design : NetworkDesign
    images : int
        That may be in the network.
    """

    design: NetworkDesign
    images: int

    @property
    def memories(self) -> list[Memory]:
        width = self.design.linears["classifier"].sum_width
        return [
            *queue("bad images", 1, self.images),
            Memory("scores", width, WAITING * self.design.classes - 1, "block"),
        ]

    @property
    def amounts(self) -> dict[str, float]:
        return {"answers": 1, "answer bits": 8 * self.design.answer_bytes}


@dataclass(frozen=True)
class EmbeddingLayer(Layer):
    """From tokens to what they and their positions stand for.

    Parameters
    ----------
    design : DecoderDesign
    """

    design: DecoderDesign

    @property
    def latency(self) -> int:
        """Cycles from the announcement of a token behind it to the token's last element."""
        return self.design.beats(self.design.width) + 4

    @property
    def memories(self) -> list[Memory]:
        d = self.design
        tables = (
            parameter_memory(name, d.lanes * d.residual_width, n * d.constant_stride, self.loads)
            for name, n in d.constants.items()
        )
        return [*context_memories(d.engine), *tables]

    @property
    def amounts(self) -> dict[str, float]:
        d = self.design
        return {
            "embedding": 1,
            "added bits": d.lanes * d.residual_width,
            "place bits": d.engine.flow.bits.count_width + d.context_width + 8 * d.token_bytes,
        }


@dataclass(frozen=True)
class AnswersLayer(Layer):
    """From the scores of a token to its answer.

    Parameters
    ----------
    design : DecoderDesign
    tokens : int
        That may be in the network.
    entering : int
        Cycles from the announcement of a token to its last score.
    cycles : int
        A token may begin every so many cycles.
    """

    design: DecoderDesign
    tokens: int
    entering: int
    cycles: int

    @property
    def waiting(self) -> int:
        """Tokens whose answers may wait."""
        d = self.design
        comparing = 0 if d.answer_scores else (d.lanes - 1).bit_length() + 1
        held = self.entering + 2 + comparing + d.answer_beats + MARGIN
        return max(WAITING, -(-held // self.cycles))

    @property
    def memories(self) -> list[Memory]:
        d = self.design
        word = d.lanes * self._score_bits if d.answer_scores else 8 * d.token_bytes
        return [
            *queue("tokens inside", d.context_width + 2, self.tokens),
            Memory("answers", word, self.waiting * d.answer_beats - 1, "block"),
        ]

    @property
    def amounts(self) -> dict[str, float]:
        d = self.design
        return {
            "answers": 1,
            "answer bits": 8 * d.answer_bytes,
            "compared score bits": 0 if d.answer_scores else d.lanes * self._score_bits,
        }

    @property
    def _score_bits(self):
        return self.design.linears["classifier"].sum_width


@dataclass(frozen=True)
class LoadingLayer(Layer):
    """What takes parameter packets, and stops the network meanwhile.

    Parameters
    ----------
    design : Transformer
    """

    design: Transformer

    @property
    def memories(self) -> list[Memory]:
        return []

    @property
    def amounts(self) -> dict[str, float]:
        return {"loading": 1, "header bits": 8 * HEADER_BYTES}
