# SPDX-License-Identifier: Apache-2.0
"""A whole vision transformer on the chip: its shape, its numbers and its rate."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Self

from ecoformer.spec.arithmetic import signed_width
from ecoformer.spec.checks import check_number
from ecoformer.spec.choices import Mask, Queries, Weights
from ecoformer.spec.config import Config
from ecoformer.spec.config_file import read_table
from ecoformer.spec.folding import Fold
from ecoformer.spec.host_streams import HostStreams
from ecoformer.spec.network.layers import LinearShape, NormShape

__all__ = ["ACTIVATION_WIDTH", "PIXEL_WIDTH", "NetworkDesign"]

PIXEL_WIDTH = 9
"""Signed bits of a pixel p of 8 bits as the stem sees it: 2p - 255, or 0 for padding."""
ACTIVATION_WIDTH = 8
"""Signed bits of what linear layers of a block take, but for the attention's answers."""
RANGES = {
    "image_size": (1, 512), "channels": (1, 4), "patch": (1, 64), "width": (4, 1_024),
    "heads": (1, 32), "depth": (1, 64), "hidden": (1, 4_096), "classes": (1, 4_096),
    "cycles_per_token": (16, 65_536), "residual_width": (8, 18),
}
"""Smallest and largest value of every number."""
MAX_CYCLES = 1_024
"""Largest k of an attention engine."""
MAX_NUMBERS = 1 << 22
"""Most weights and positions of a network: more than any chip that it could be on can hold."""


@dataclass(frozen=True, kw_only=True)
class NetworkDesign:
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

    def __post_init__(self) -> None:
        for name, ends in RANGES.items():
            check_number(name, getattr(self, name), int, *ends)
        object.__setattr__(self, "weights", Weights.parse("weights", self.weights))
        if self.image_size % self.patch:
            raise ValueError(
                f"patch must divide image_size = {self.image_size}, not be {self.patch}"
            )
        if self.cycles_per_token < self.longest_vector:
            raise ValueError(
                f"cycles_per_token must be at least {self.longest_vector} for this network, whose "
                f"longest vector has as many elements, not {self.cycles_per_token}"
            )
        self._check_attention()
        self._check_size()

    def _check_size(self):
        try:
            self.engine  # noqa: B018  attention as it is within the network
        except ValueError as error:
            raise ValueError(
                f"image_size, patch and cycles_per_token make an impossible [engine] of "
                f"{self.tokens} tokens: {error}"
            ) from error
        numbers = sum(shape.inputs * shape.outputs for shape in self.linears.values())
        numbers += self.tokens * self.width
        if numbers > MAX_NUMBERS:
            raise ValueError(
                "width, hidden, depth, classes and image_size must leave at most "
                f"{MAX_NUMBERS:,} weights and positions, not {numbers:,}"
            )

    def _check_attention(self):
        a = self.attention
        rules = {
            "head_dim": self.width // self.heads if self.width % self.heads == 0 else None,
            "value_dim": a.head_dim,
            "token_width": ACTIVATION_WIDTH,
            "value_width": ACTIVATION_WIDTH,
            "mask": Mask.FULL,
        }
        if rules["head_dim"] is None:
            raise ValueError(f"heads must divide width = {self.width}, not be {self.heads}")
        for name, value in rules.items():
            if getattr(a, name) != value:
                raise ValueError(
                    f"[engine] {name} must be {value!r} within a network, not {getattr(a, name)!r}"
                )
        if a.queries == Queries.CROSS:
            raise ValueError("[engine] queries must be 'shared' or 'separate' within a network")
        if a.hash == "codes":
            raise ValueError(
                "[engine] hash must not be 'codes' within a network, where no host makes them"
            )

    # -- shape -----------------------------------------------------------------------------------

    @property
    def tokens(self) -> int:
        """Tokens N of an image."""
        return (self.image_size // self.patch) ** 2

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
        steps = [self.fold(name).steps for name in self.linears if name != "classifier"]
        pooled = -(-self.fold("classifier").steps // self.tokens)
        window = self.linears["stem"].inputs
        return max(self.engine.cycles_per_token, *steps, pooled, window)

    @property
    def cycles_per_image(self) -> int:
        """Cycles from an image to the next where many follow each other."""
        return self.tokens * self.steady_cycles

    @property
    def head_dim(self) -> int:
        """Elements of a head's query, key or value."""
        return self.attention.head_dim

    @property
    def vectors(self) -> int:
        """Vectors that a head takes of a token: x and v, or q, k and v."""
        return len(self.attention.sides.all) + 1

    @property
    def longest_vector(self) -> int:
        """Elements of the longest vector that goes from a layer to the next."""
        return max(
            max(shape.inputs, shape.outputs if shape.output_width else 0)
            for shape in self.linears.values()
        )

    def fold(self, name: str) -> Fold:
        """How a linear layer is spread over its cycles: the classifier has those of an image."""
        k = self.cycles_per_token
        return self.linears[name].fold(k * self.tokens if name == "classifier" else k)

    # -- layers ----------------------------------------------------------------------------------

    @cached_property
    def engine(self) -> Config:
        """The attention of one head within the network.

        Its k is the largest power of two that is no larger than that of the network, and its buses
        carry a token in as many cycles.
        """
        k = 1 << (min(self.cycles_per_token, MAX_CYCLES).bit_length() - 1)
        token = max(
            self.vectors * self.head_dim,
            self.head_dim * self.attention.output_element_bytes,
        )
        return replace(
            self.attention,
            cycles_per_token=k,
            engines=1,
            max_tokens=self.tokens,
            parameter_sets=1,
            tuser_width=0,
            next_set_depth=0,
            tkeep=False,
            bus_bytes=1 << (-(-token // k) - 1).bit_length(),
            target_tokens_per_second=0,
        )

    @cached_property
    def heads_engine(self) -> Config:
        """The same with one parameter set per head: what the parameters of a block fit."""
        return replace(self.engine, parameter_sets=self.heads)

    @cached_property
    def linears(self) -> dict[str, LinearShape]:
        """Every linear layer by name, along the path of a token."""
        width, a, r = self.width, ACTIVATION_WIDTH, self.residual_width
        area = self.channels * self.kernel**2
        shapes = {"stem": LinearShape(area, width, PIXEL_WIDTH, r, self.weights)}
        for block in range(self.depth):
            shapes |= {
                f"blocks.{block}.{name}": LinearShape(*shape, self.weights)
                for name, shape in {
                    "vectors": (width, self.vectors * width, a, a),
                    "out": (width, width, self.attention.output_width, r),
                    "up": (width, self.hidden, a, a),
                    "down": (self.hidden, width, a, r),
                }.items()
            }
        shapes["classifier"] = LinearShape(width, self.classes, self.pooled_width, 0)
        return shapes

    @cached_property
    def norm(self) -> NormShape:
        """Every norm: two of a block, and the one before the classifier."""
        return NormShape(self.width, self.residual_width, ACTIVATION_WIDTH)

    @cached_property
    def sent_widths(self) -> dict[str, int]:
        """Signed bits of what every layer sends, by the names of the integer network's trace."""
        a, r = ACTIVATION_WIDTH, self.residual_width
        widths = {"stem": r}
        for block in range(self.depth):
            parts = {
                "norm1": a, "vectors": a, "attention": self.engine.output_width, "out": r,
                "residual1": r, "norm2": a, "up": a, "activation": a, "down": r, "residual2": r,
            }
            widths |= {f"blocks.{block}.{name}": width for name, width in parts.items()}
        return widths | {
            "norm": a, "pooled": self.pooled_width,
            "scores": self.linears["classifier"].result_width,
        }

    @property
    def norms(self) -> list[str]:
        """Names of all norms, along the path of a token."""
        blocks = (f"blocks.{block}.norm{i}" for block in range(self.depth) for i in (1, 2))
        return [*blocks, "norm"]

    @property
    def pooled_width(self) -> int:
        """A sum of an element over all tokens of an image, signed."""
        return signed_width(self.tokens << (ACTIVATION_WIDTH - 1))

    @property
    def score_bytes(self) -> int:
        """Bytes of a score on the wire: whole words of 4."""
        return -(-self.linears["classifier"].sum_width // 32) * 4

    @property
    def host_streams(self) -> HostStreams:
        """Pixels in and scores out, as a host link knows them."""
        return HostStreams(self.channels, self.score_bytes, user_bits=0)

    # -- file ------------------------------------------------------------------------------------

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read the tables ``[chip]`` and ``[engine]`` of the TOML file ``path``.

        Raises
        ------
        EcoformerError
            The file cannot be read or a key or value is refused; names file and key.
        """
        return read_table(path, "chip", cls, attention=Config.load(path))

    def as_toml(self) -> str:
        """Text of a file that loads to an equal ``NetworkDesign``."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "attention"}
        lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
        return "\n".join(["[chip]", *lines, "", self.attention.as_toml()])

    # -- identity --------------------------------------------------------------------------------

    @property
    def fingerprint(self) -> str:
        """SHA-256 of every field."""
        return hashlib.sha256(self.as_toml().encode()).hexdigest()

    @property
    def bits_fingerprint(self) -> str:
        """SHA-256 of every field on which a result bit depends; the rate is none of them."""
        values = {name: value for name, value in asdict(self).items() if name != "attention"}
        del values["cycles_per_token"]
        values["attention"] = replace(
            self.attention, max_tokens=self.tokens, parameter_sets=1, tuser_width=0,
            next_set_depth=0, engines=1,
        ).bits_fingerprint
        text = json.dumps(values, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
