# SPDX-License-Identifier: Apache-2.0
"""Linear layers: lanes, the tokens that wait for them, and what becomes of their sums."""

from __future__ import annotations

from dataclasses import dataclass

from ecoformer.spec.choices import Weights
from ecoformer.spec.cost.fabric import Memory, multipliers
from ecoformer.spec.cost.features import PRODUCT_BITS
from ecoformer.spec.cost.network.layer import Layer, levels, parameter_memory
from ecoformer.spec.folding import Fold, Stream
from ecoformer.spec.network.layers import LinearShape
from ecoformer.spec.network.memories import SHALLOW, LinearRows

__all__ = ["LinearLayer", "token_buffer"]

LEAST_SLOTS, MARGIN = 4, 6
"""Fewest tokens that wait, and cycles that each does beyond its arrival and its work."""
MEMORY, REQUANTISING = 2, 3
"""Cycles of a memory of parameters, and of shift and saturation."""
BEFORE_TREE = {Weights.INT8: 3, Weights.POW2: 1, Weights.TERNARY: 0}
"""Cycles of a product."""
BOOTH_TERMS = 4
"""Terms of a product with an int8 weight by adders."""
BOOTH_BITS = 8
"""Bits by which one of them is wider than the element, shifted to its place."""


@dataclass(frozen=True)
class LinearLayer(Layer):
    """A linear layer.

    Parameters
    ----------
    shape : LinearShape
    fold : Fold
    entering : int
        Cycles from the announcement of a token to its last element.
    cycles : int
        A token may begin every so many cycles.
    layers : int
        Layers of the network that this is in turn.
    """

    shape: LinearShape
    fold: Fold
    entering: int
    cycles: int
    layers: int = 1

    @property
    def is_streamed(self) -> bool:
        """Whether it works on elements as they come, and keeps none."""
        return isinstance(self.fold, Stream)

    @property
    def latency(self) -> int:
        """Cycles from the announcement of a token behind it to the token's last element."""
        begun = self.entering if self.is_streamed else self.fold.steps
        beats = self._block_beats
        behind = REQUANTISING if self.shape.output_width else 0
        return begun + MEMORY + self._product_latency + (beats if beats > 1 else 0) + 1 + behind

    @property
    def slots(self) -> int:
        """Tokens that may wait."""
        waits = self.entering + self.fold.steps + MARGIN
        return max(LEAST_SLOTS, -(-waits // self.cycles))

    @property
    def memories(self) -> list[Memory]:
        rows, granule = LinearRows(self.shape, self.fold), self.fold.granule
        # A sum that leaves as it is has no shift.
        constant = rows.constant_bits if self.shape.output_width or self.loads else (
            self.shape.sum_width
        )
        sizes = {
            "weights": (rows.weight_bits, self.fold.steps),
            "constants": (granule * constant, rows.constant_count),
        }
        found = [
            parameter_memory(name, bits, self.layers * count, self.loads)
            for name, (bits, count) in sizes.items()
        ]
        if not self.is_streamed:
            lanes = -(-self.fold.input_lanes // granule) * granule
            found.append(token_buffer(
                self.shape.inputs, self.shape.input_width, lanes, self.slots, granule
            ))
        return found

    @property
    def dsp(self) -> int:
        if not self.shape.multiplies:
            return 0
        return self.fold.lanes * multipliers(self.shape.input_width, self.shape.weights.bits)

    @property
    def amounts(self) -> dict[str, float]:
        shape, fold = self.shape, self.fold
        terms = fold.input_lanes * self._terms
        wide = shape.input_width + (BOOTH_BITS if shape.by_adders else PRODUCT_BITS[shape.format])
        kind = "Booth" if shape.by_adders else shape.format.value
        leaving = fold.granule * shape.sum_width
        return {
            "linear layer": 1,
            "waiting tokens": 0 if self.is_streamed else 1,
            "buffer lanes": 0 if self.is_streamed else -(-fold.input_lanes // fold.granule),
            "step bits": fold.input_steps.bit_length() + fold.steps.bit_length(),
            f"{kind} product bits": fold.output_lanes * terms * wide,
            "tree bits": fold.output_lanes * (terms - 1) * wide,
            "accumulator bits": fold.output_lanes * shape.product_width,
            "waiting result bits":
                fold.output_lanes * shape.product_width * (self._block_beats > 1),
            "biased bits": leaving,
            "shifted bits": leaving if shape.output_width else 0,
        }

    @property
    def _terms(self):
        return BOOTH_TERMS if self.shape.by_adders else 1

    @property
    def _product_latency(self):
        before = 1 if self.shape.by_adders else BEFORE_TREE[self.shape.format]
        return before + levels(self.fold.input_lanes * self._terms) + 1

    @property
    def _block_beats(self):
        """Cycles in which the results of a block leave."""
        return -(-self.fold.output_lanes // self.fold.granule)


def token_buffer(elements: int, width: int, lanes: int, slots: int, across: int = 1) -> Memory:
    """Where tokens wait to be read row by row.

    Parameters
    ----------
    elements, width : int
        Of a token, and bits of each.
    lanes : int
        Elements of a row.
    slots : int
        Tokens at once.
    across : int
        Elements that arrive at once.
    """
    rows = -(-elements // lanes)
    depth = slots << (rows - 1).bit_length()
    style = "distributed" if depth <= SHALLOW else "block"
    granule = width * across if lanes > across else 0
    return Memory("waiting tokens", width * lanes, depth, style, granule=granule)
