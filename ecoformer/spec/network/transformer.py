# SPDX-License-Identifier: Apache-2.0
"""What every network on the chip shares: blocks of attention and MLP, their numbers and rate."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import asdict, fields, replace
from functools import cached_property
from typing import Any, ClassVar

from ecoformer.spec.checks import check_number, check_switch
from ecoformer.spec.choices import Mask, Queries, Weights
from ecoformer.spec.config import Config
from ecoformer.spec.folding import Fold
from ecoformer.spec.host_streams import HostStreams
from ecoformer.spec.network.layers import LinearShape, NormShape
from ecoformer.spec.weights import WEIGHT_FORMATS

__all__ = ["ACTIVATION_WIDTH", "SHARED_RANGES", "Transformer"]

ACTIVATION_WIDTH = 8
"""Signed bits of what linear layers of a block take, but for the attention's answers."""
SHARED_RANGES = {
    "width": (4, 1_024), "heads": (1, 32), "depth": (1, 64), "hidden": (1, 4_096),
    "cycles_per_token": (16, 65_536), "residual_width": (8, 18),
}
"""Smallest and largest value of every number that all networks have."""
MAX_CYCLES = 1_024
"""Largest k of an attention engine."""
BRANCH_MARGIN = 2
"""Tokens that may begin a branch of a block while one enters and one leaves it."""
MAX_NUMBERS = 1 << 22
"""Most weights and constants of a network: more than any chip that it could be on can hold."""


class Transformer(ABC):
    """A network as a pipeline of all its layers, of which subclasses add the first and the last.

        block: norm ─► queries, keys and values ─► attention ─► out ─► + ─► norm ─► MLP ─► +

    Subclasses are frozen dataclasses with these fields and their own.

    Parameters
    ----------
    width : int
        Elements of a token.
    heads, depth : int
    hidden : int
        Elements between the two linear layers of the MLP.
    attention : Config
        Attention of one head.
    weights : Weights
        What the weights of linear layers may be; the classifier's are int8.
    cycles_per_token : int
        k of the whole network.
    residual_width : int
        Signed bits of an element between blocks.
    loadable : bool
        Whether other parameters can be loaded at run time (`spec.network.packet`).
    rolled : bool
        Whether all blocks share the hardware of one, through which tokens go ``depth`` times.
    """

    width: int
    heads: int
    depth: int
    hidden: int
    attention: Config
    weights: Weights
    cycles_per_token: int
    residual_width: int
    loadable: bool
    rolled: bool

    ranges: ClassVar[dict[str, tuple[int, int]]]
    """Smallest and largest value of every number."""
    table: ClassVar[str]
    """Name of its table in a file."""
    mask: ClassVar[Mask]
    """What a token attends to."""
    rate_fields: ClassVar[tuple[str, ...]] = ("cycles_per_token", "loadable", "rolled")
    """Fields on which no number between layers depends."""
    optional_fields: ClassVar[tuple[str, ...]] = ("loadable", "rolled")
    """Fields that a file leaves out where they say nothing."""
    _sizes: ClassVar[str]
    """Sizes that make numbers, for messages."""

    def _check_numbers(self) -> None:
        for name, ends in self.ranges.items():
            check_number(name, getattr(self, name), int, *ends)
        check_switch("loadable", self.loadable)
        check_switch("rolled", self.rolled)
        object.__setattr__(self, "weights", Weights.parse("weights", self.weights))

    def _check_size(self, sizes: str) -> None:
        """Refuse an engine that cannot be, and more numbers than a chip holds.

        Parameters
        ----------
        sizes : str
            Names of the sizes that set the engine's.
        """
        try:
            self.engine  # noqa: B018  attention as it is within the network
        except ValueError as error:
            raise ValueError(
                f"{sizes} and cycles_per_token make an impossible [engine] of "
                f"{self.tokens} tokens: {error}"
            ) from error
        numbers = sum(shape.inputs * shape.outputs for shape in self.linears.values())
        numbers += self.width * sum(self.constants.values())
        if numbers > MAX_NUMBERS:
            raise ValueError(
                f"{self._sizes} must leave at most {MAX_NUMBERS:,} weights and positions, not "
                f"{numbers:,}"
            )

    def _check_attention(self) -> None:
        a = self.attention
        rules: dict[str, Any] = {
            "head_dim": self.width // self.heads if self.width % self.heads == 0 else None,
            "value_dim": a.head_dim,
            "token_width": ACTIVATION_WIDTH,
            "value_width": ACTIVATION_WIDTH,
            "mask": self.mask,
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

    packet: ClassVar[str]
    """What enters, for messages."""
    first_and_last: ClassVar[str]
    """Between which beats its latency is, for messages."""

    @property
    @abstractmethod
    def tokens(self) -> int:
        """Tokens of the longest sequence."""

    def tokens_of_a_packet(self, name: str) -> int:
        """How often the linear layer ``name`` of `linear_hardware` works on a vector for a packet.
        """
        return 1

    @property
    def pooled_tokens(self) -> int:
        """Tokens of whose sum the classifier makes scores."""
        return 1

    @property
    def waits(self) -> int:
        """Tokens that come to attention before it answers the first of a sequence."""
        return self.tokens + 1 if self.mask == Mask.FULL else 1

    @property
    def attention_wait(self) -> int:
        """Cycles for which attention keeps a token beyond its latency, until `waits` have come.

        Under a full mask they come every `steady_block_cycles`, although attention could take them
        faster; under a causal one a token waits for its own steps.
        """
        full = self.mask == Mask.FULL
        return self.waits * (self.steady_block_cycles if full else self.engine.cycles_per_token)

    def tokens_in_branch(self, cycles: int) -> int:
        """Tokens that may be at once in a branch that takes a token ``cycles`` to pass."""
        return -(-cycles // self.steady_block_cycles) + BRANCH_MARGIN

    @property
    def constants(self) -> dict[str, int]:
        """Tables of constants that are added to tokens, and the rows of each."""
        return {"positions": self.tokens}

    @property
    def constant_stride(self) -> int:
        """Rows of such a table from a token's constants to those of the next."""
        return self.beats(self.width)

    @property
    def passes(self) -> int:
        """How often a token goes through each block that there is in hardware."""
        return self.depth if self.rolled else 1

    @property
    def block_hardware(self) -> dict[str, range]:
        """Every block that there is in hardware, and the blocks of the network that it works on.

        Its name is what the names of its layers begin with.
        """
        if self.rolled:
            return {"blocks": range(self.depth)}
        return {f"blocks.{number}": range(number, number + 1) for number in range(self.depth)}

    @property
    def linear_hardware(self) -> dict[str, str]:
        """Every linear layer that there is in hardware, and the first one that it works on."""
        first = {f"blocks.{blocks[0]}": name for name, blocks in self.block_hardware.items()}
        found: dict[str, str] = {}
        for linear in self.linears:
            block, _, part = linear.rpartition(".")
            if not block:
                found[linear] = linear
            elif block in first:
                found[f"{first[block]}.{part}"] = linear
        return found

    @property
    def lanes(self) -> int:
        """Elements of a vector that go from a layer to the next in a cycle."""
        return 1

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
        return self._longest(self.linears)

    def _longest(self, linears: Iterable[str]) -> int:
        """The same of vectors before and behind some linear layers."""
        shapes = (self.linears[name] for name in linears)
        return max(max(s.inputs, s.outputs if s.output_width else 0) for s in shapes)

    def beats(self, elements: int) -> int:
        """Cycles in which a vector of ``elements`` goes from a layer to the next."""
        return -(-elements // self.lanes)

    @property
    def block_cycles(self) -> int:
        """k of the blocks, through which a token goes `passes` times in k of the network."""
        return self.cycles_per_token // self.passes

    def fold(self, name: str) -> Fold:
        """How a linear layer is spread over its cycles."""
        return self.linears[name].fold(self.cycles_per_token, self.lanes)

    @property
    @abstractmethod
    def steady_cycles(self) -> int:
        """Cycles from a token to the next where many follow each other; at most k."""

    @property
    @abstractmethod
    def steady_packet(self) -> int:
        """Cycles from a packet to the next where many follow each other."""

    @property
    def steady_block_cycles(self) -> int:
        """The same within the blocks; at most `block_cycles`."""
        return self.steady_cycles

    @property
    def blocks_set_rate(self) -> bool:
        """Whether blocks take all the time that there is, or share no hardware."""
        return self.steady_cycles == self.passes * self.steady_block_cycles

    @property
    @abstractmethod
    def host_streams(self) -> HostStreams:
        """What enters and what leaves, as a host link knows it."""

    # -- layers ----------------------------------------------------------------------------------

    @property
    @abstractmethod
    def engine(self) -> Config:
        """The attention of one head within the network."""

    def _engine(self, k: int, bus_bytes: int) -> Config:
        return replace(
            self.attention,
            cycles_per_token=k,
            engines=1,
            max_tokens=self.tokens,
            # Every slot of its memories holds a block's parameters, and none is a spare.
            parameter_sets=max(1, self.passes - 1),
            tuser_width=0,
            next_set_depth=0,
            tkeep=False,
            bus_bytes=bus_bytes,
            target_tokens_per_second=0,
        )

    @property
    def _engine_cycles(self) -> int:
        """The largest k of an engine that is no larger than that of the blocks."""
        return 1 << (min(self.block_cycles, MAX_CYCLES).bit_length() - 1)

    @cached_property
    def heads_engine(self) -> Config:
        """`engine` with one parameter set per head: what the parameters of a block fit."""
        return replace(self.engine, parameter_sets=self.heads)

    @property
    @abstractmethod
    def linears(self) -> dict[str, LinearShape]:
        """Every linear layer by name, along the path of a token."""

    def _classifier(self, classes: int, input_width: int) -> LinearShape:
        """The layer that makes scores: int8 weights, but no multiplier where no other layer has."""
        by_adders = not WEIGHT_FORMATS[self.weights].multiplies
        return LinearShape(self.width, classes, input_width, 0, by_adders=by_adders)

    def _block_linears(self) -> dict[str, LinearShape]:
        """The linear layers of all blocks by name."""
        width, a, r = self.width, ACTIVATION_WIDTH, self.residual_width
        shapes: dict[str, LinearShape] = {}
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
        return shapes

    @cached_property
    def norm(self) -> NormShape:
        """Every norm: two of a block, and the one before the classifier."""
        return NormShape(self.width, self.residual_width, ACTIVATION_WIDTH)

    @property
    @abstractmethod
    def sent_widths(self) -> dict[str, int]:
        """Signed bits of what every layer sends, by the names of the integer network's trace."""

    def _block_widths(self) -> dict[str, int]:
        """The same of the layers of all blocks."""
        a, r = ACTIVATION_WIDTH, self.residual_width
        widths: dict[str, int] = {}
        for block in range(self.depth):
            parts = {
                "norm1": a, "vectors": a, "attention": self.engine.output_width, "out": r,
                "residual1": r, "norm2": a, "up": a, "activation": a, "down": r, "residual2": r,
            }
            widths |= {f"blocks.{block}.{name}": width for name, width in parts.items()}
        return widths

    @property
    def norms(self) -> list[str]:
        """Names of all norms, along the path of a token."""
        blocks = (f"blocks.{block}.norm{i}" for block in range(self.depth) for i in (1, 2))
        return [*blocks, "norm"]

    @property
    def score_bytes(self) -> int:
        """Bytes of a score on the wire: whole words of 4."""
        return -(-self.linears["classifier"].sum_width // 32) * 4

    # -- file and identity -----------------------------------------------------------------------

    def as_toml(self) -> str:
        """Text of a file that loads to an equal design."""
        own: Any = self
        values = {f.name: getattr(self, f.name) for f in fields(own) if f.name != "attention"}
        lines = [
            f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in values.items()
            if value or name not in self.optional_fields
        ]
        return "\n".join([f"[{self.table}]", *lines, "", self.attention.as_toml()])

    @property
    def fingerprint(self) -> str:
        """SHA-256 of every field."""
        return hashlib.sha256(self.as_toml().encode()).hexdigest()

    @property
    def hardware_fingerprint(self) -> str:
        """SHA-256 of every field on which the hardware depends."""
        return self.fingerprint

    @property
    def bits_fingerprint(self) -> str:
        """SHA-256 of every field on which a result bit depends; the rate is none of them."""
        own: Any = self
        values = {name: value for name, value in asdict(own).items() if name != "attention"}
        for name in self.rate_fields:
            del values[name]
        values["attention"] = replace(
            self.attention, max_tokens=self.tokens, parameter_sets=1, tuser_width=0,
            next_set_depth=0, engines=1,
        ).bits_fingerprint
        text = json.dumps(values, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
