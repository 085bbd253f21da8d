# SPDX-License-Identifier: Apache-2.0
"""A whole vision transformer on the chip: its shape, its numbers and its rate."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Self

from ecoformer.spec.arithmetic import signed_width
from ecoformer.spec.choices import Mask, Weights
from ecoformer.spec.config import Config
from ecoformer.spec.config_file import read_table
from ecoformer.spec.folding import Fold
from ecoformer.spec.host_streams import HostStreams
from ecoformer.spec.network.layers import LinearShape
from ecoformer.spec.network.transformer import (
    ACTIVATION_WIDTH,
    MAX_NUMBERS,
    SHARED_RANGES,
    Transformer,
)

__all__ = ["ACTIVATION_WIDTH", "MAX_NUMBERS", "PIXEL_WIDTH", "NetworkDesign"]

PIXEL_WIDTH = 9
"""Signed bits of a pixel p of 8 bits as the stem sees it: 2p - 255, or 0 for padding."""


@dataclass(frozen=True, kw_only=True)
class NetworkDesign(Transformer):
    """A vision transformer as a pipeline: one token of every layer in ``cycles_per_token`` cycles.

        pixels ─► patches ─► stem ─► + positions ─► blocks ─► norm ─► sum over tokens ─► scores
        block: norm ─► queries, keys and values ─► attention ─► out ─► + ─► norm ─► MLP ─► +

    Parameters
    ----------
    image_size, channels : int
        Pixels along a side of a square image, and bytes of a pixel.
    patch : int
        Stride of the stem, whose kernel is 2·patch - 1 pixels wide, padded by patch - 1.
    width : int
        Elements of a token.
    heads, depth : int
    hidden : int
        Elements between the two linear layers of the MLP.
    classes : int
    attention : Config
        Attention of one head. Its rate, buses and number of sets follow from the network.
    weights : Weights
        What the weights of linear layers may be; the classifier's are int8.
    cycles_per_token : int
        k of the whole network, at least as many as the longest vector has elements.
    residual_width : int
        Signed bits of an element between blocks.
    loadable : bool
        Whether other parameters can be loaded at run time.
    rolled : bool
        Whether all blocks share the hardware of one, through which tokens go ``depth`` times; k of
        the whole network stays, and that of the block is a ``depth``-th of it.

    Raises
    ------
    TypeError, ValueError
        A value has the wrong type or breaks the rule named in the message.
    """

    image_size: int
    channels: int
    patch: int
    width: int
    heads: int
    depth: int
    hidden: int
    classes: int
    attention: Config
    weights: Weights = Weights.INT8
    cycles_per_token: int = 1_024
    residual_width: int = 16
    loadable: bool = False
    rolled: bool = False

    ranges: ClassVar[dict[str, tuple[int, int]]] = {
        "image_size": (1, 512), "channels": (1, 4), "patch": (1, 64), "classes": (1, 4_096),
        **SHARED_RANGES,
    }
    table: ClassVar[str] = "chip"
    mask: ClassVar[Mask] = Mask.FULL
    packet: ClassVar[str] = "image"
    first_and_last: ClassVar[str] = "the first pixel to the last score"
    _sizes: ClassVar[str] = "width, hidden, depth, classes and image_size"

    def __post_init__(self) -> None:
        self._check_numbers()
        if self.image_size % self.patch:
            raise ValueError(
                f"patch must divide image_size = {self.image_size}, not be {self.patch}"
            )
        if self.rolled:
            self._check_rolled()
        if self.cycles_per_token < self.longest_vector:
            raise ValueError(
                f"cycles_per_token must be at least {self.longest_vector} for this network, whose "
                f"longest vector has as many elements, not {self.cycles_per_token}"
            )
        self._check_attention()
        self._check_size("image_size, patch")

    def _check_rolled(self):
        if self.depth == 1:
            raise ValueError("rolled must be false with depth = 1, where no blocks share anything")
        least = max(SHARED_RANGES["cycles_per_token"][0], self._longest(self._block_linears()))
        if self.block_cycles < least:
            raise ValueError(
                f"cycles_per_token must be at least {self.depth} · {least} = {self.depth * least} "
                f"with rolled = true, as a token goes through the block {self.depth} times, in at "
                f"least {least} cycles each, not {self.cycles_per_token}"
            )

    # -- shape -----------------------------------------------------------------------------------

    @property
    def tokens(self) -> int:
        """Tokens N of an image."""
        return (self.image_size // self.patch) ** 2

    def tokens_of_a_packet(self, name: str) -> int:
        """How often the linear layer ``name`` of `linear_hardware` works on a vector for an image.
        """
        passes = self.passes if name.startswith("blocks.") else 1
        return 1 if name == "classifier" else self.tokens * passes

    @property
    def pooled_tokens(self) -> int:
        """Tokens of whose sum the classifier makes scores: all."""
        return self.tokens

    @property
    def input_beats(self) -> int:
        """Beats of a packet that enters: pixels."""
        return self.pixels

    @property
    def answer_scores(self) -> int:
        """Scores of a beat of an answer."""
        return 1

    @property
    def answer_beats(self) -> int:
        """Beats of an answer."""
        return self.classes

    @property
    def answer_bytes(self) -> int:
        """Bytes of a beat of an answer."""
        return self.score_bytes

    @property
    def context_width(self) -> int:
        """Bits of a context's number; 0 because there are none."""
        return 0

    @property
    def kernel(self) -> int:
        """Pixels along a side of a patch with its overlap."""
        return 2 * self.patch - 1

    @property
    def pixels(self) -> int:
        """Pixels of an image."""
        return self.image_size**2

    @property
    def steady_cycles(self) -> int:
        """Cycles from a token to the next where many images follow each other.

        Those of the slowest layer: at most k, which no layer need use up.
        """
        stem = max(self.fold("stem").steps, self.linears["stem"].inputs)
        pooled = -(-self.fold("classifier").steps // self.tokens)
        return max(self.passes * self._block_steps, stem, pooled)

    @property
    def steady_block_cycles(self) -> int:
        """The same within the blocks: of one that all share, as few as its slowest layer takes."""
        return self._block_steps if self.rolled else self.steady_cycles

    @property
    def _block_steps(self):
        """Cycles that the slowest layer of the blocks takes for a token."""
        steps = [self.fold(name).steps for name in self._block_linears()]
        return max(self.engine.cycles_per_token, *steps)

    @property
    def cycles_per_image(self) -> int:
        """Cycles from an image to the next where many follow each other."""
        return self.tokens * self.steady_cycles

    @property
    def steady_packet(self) -> int:
        """Cycles from a packet to the next where many follow each other: those of an image."""
        return self.cycles_per_image

    def fold(self, name: str) -> Fold:
        """How a linear layer is spread over its cycles: the classifier has those of an image."""
        k = self.block_cycles if name.startswith("blocks.") else self.cycles_per_token
        return self.linears[name].fold(k * self.tokens if name == "classifier" else k)

    # -- layers ----------------------------------------------------------------------------------

    @cached_property
    def engine(self) -> Config:
        """The attention of one head within the network.

        Its k is the largest power of two that is no larger than that of the blocks, and its buses
        carry a token in as many cycles.
        """
        k = self._engine_cycles
        token = max(
            self.vectors * self.head_dim,
            self.head_dim * self.attention.output_element_bytes,
        )
        return self._engine(k, 1 << (-(-token // k) - 1).bit_length())

    @cached_property
    def linears(self) -> dict[str, LinearShape]:
        """Every linear layer by name, along the path of a token."""
        area = self.channels * self.kernel**2
        stem = LinearShape(area, self.width, PIXEL_WIDTH, self.residual_width, self.weights)
        classifier = self._classifier(self.classes, self.pooled_width)
        return {"stem": stem, **self._block_linears(), "classifier": classifier}

    @cached_property
    def sent_widths(self) -> dict[str, int]:
        """Signed bits of what every layer sends, by the names of the integer network's trace."""
        return {
            "stem": self.residual_width, **self._block_widths(), "norm": ACTIVATION_WIDTH,
            "pooled": self.pooled_width, "scores": self.linears["classifier"].result_width,
        }

    @property
    def pooled_width(self) -> int:
        """A sum of an element over all tokens of an image, signed."""
        return signed_width(self.tokens << (ACTIVATION_WIDTH - 1))

    @property
    def host_streams(self) -> HostStreams:
        """Pixels in and scores out, as a host link knows them."""
        return HostStreams(self.channels, self.score_bytes, user_bits=0, loads=self.loadable)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read the tables ``[chip]`` and ``[engine]`` of the TOML file ``path``.

        Raises
        ------
        EcoformerError
            The file cannot be read or a key or value is refused; names file and key.
        """
        return read_table(path, cls.table, cls, attention=Config.load(path))
