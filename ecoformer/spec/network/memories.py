# SPDX-License-Identifier: Apache-2.0
"""The memories of a network's parameters: what each of their rows holds, and their order.

The one definition for what they hold from the start and for the packet that loads them. Also, which
memories of tokens are block RAM.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from ecoformer.spec.folding import Fold
from ecoformer.spec.memory_map import WORD_BITS, MemoryMap
from ecoformer.spec.network.image import NetworkImage
from ecoformer.spec.network.layers import MAX_SHIFT, LinearShape
from ecoformer.spec.network.transformer import ACTIVATION_WIDTH, Transformer

__all__ = [
    "SHALLOW", "LinearRows", "ParameterRows", "constant_rows", "parameter_memories", "table_rows",
]

SHALLOW = 64
"""Rows up to which waiting tokens are kept out of block RAM, of which they would fill a small part.

Distributed RAM takes 6 LUTs for every 16 rows of 4 bits, and what selects one of them.
"""
SHIFT_BITS = MAX_SHIFT.bit_length()


@dataclass(frozen=True)
class ParameterRows:
    """A memory of parameters.

    Parameters
    ----------
    name : str
    count : int
        Rows.
    bits : int
        Bits of a row.
    contents : function of NetworkImage to sequence of int
        Every row, as the bits of it.
    """

    name: str
    count: int
    bits: int
    contents: Callable[[NetworkImage], Sequence[int]]

    @property
    def row_bytes(self) -> int:
        """Bytes in which a row is loaded, the lowest bits first."""
        return -(-self.bits // 8)

    @property
    def bytes(self) -> int:
        """Bytes of all rows."""
        return self.count * self.row_bytes


@dataclass(frozen=True)
class LinearRows:
    """Rows of the two memories of a linear layer.

    Parameters
    ----------
    shape : LinearShape
    fold : Fold
        How the layer is spread over its cycles.
    """

    shape: LinearShape
    fold: Fold

    @property
    def weight_bits(self) -> int:
        """Bits of a row of weights: those of a step."""
        return self.fold.lanes * self.shape.weights.bits

    def weights(self, weights: np.ndarray) -> list[int]:
        """Encoded weights of every step, the first lane lowest; of int64 [inputs, outputs]."""
        form = self.shape.weights
        return [_packed(row, form.bits) for row in form.encode(self.fold.rows(weights)).tolist()]

    @property
    def constant_bits(self) -> int:
        """Bits of the constants of an output: its bias, and above it its shift."""
        return self.shape.sum_width + SHIFT_BITS

    @property
    def constant_count(self) -> int:
        """Rows of constants: those of the outputs that leave at once."""
        return -(-self.shape.outputs // self.fold.granule)

    def constants(self, bias: np.ndarray, shift: np.ndarray | None) -> list[int]:
        """Constants of the outputs that leave at once, the first lowest; of int64 [outputs]."""
        width, lanes = self.shape.sum_width, self.fold.granule
        shifts = [0] * len(bias) if shift is None else shift.tolist()
        words = [
            b & (1 << width) - 1 | s << width for b, s in zip(bias.tolist(), shifts, strict=True)
        ]
        return [
            _packed(words[i : i + lanes], self.constant_bits) for i in range(0, len(words), lanes)
        ]


def table_rows(values: np.ndarray) -> list[int]:
    """Rows of the table of a function of one element: int64 of the lowest element, the next, …

    A row is found by the bits of its element as they are: the upper half is of negative ones.
    """
    half = len(values) // 2
    mask = len(values) - 1
    return [value & mask for value in [*values[half:].tolist(), *values[:half].tolist()]]


def constant_rows(values: np.ndarray, stride: int, lanes: int, width: int) -> list[int]:
    """Rows of constants that are added to tokens, ``lanes`` elements in each, the first lowest.

    Parameters
    ----------
    values : int64 array [n, elements]
    stride : int
        Rows from a vector to the next; what is beyond its elements is 0.
    lanes : int
    width : int
        Bits of an element.
    """
    padded = np.zeros((len(values), stride * lanes), dtype=np.int64)
    padded[:, : values.shape[1]] = values
    return [_packed(row, width) for row in padded.reshape(-1, lanes).tolist()]


def parameter_memories(design: Transformer) -> Iterator[ParameterRows]:
    """Every memory of parameters, along the path of a token.

    A linear layer has ``.weights`` and ``.constants``, a norm ``.epsilon``, and the attention of a
    block ``.attention.HEAD.REGION``, the regions of an engine's parameter memories.

    Blocks that share hardware share its memories: each of them holds its rows of one block after
    another, and so does a head all regions.
    """
    if "stem" in design.linears:
        yield from _linear(design, "stem")
    for name, count in design.constants.items():
        yield _constants(design, name, count)
    for blocks in design.block_hardware.values():
        for shared in zip(*(_block(design, block) for block in blocks), strict=True):
            yield from chain.from_iterable(shared)
    yield _epsilon(design, "norm")
    yield from _linear(design, "classifier")


def _block(design, block):
    """What is loaded together: a memory, or those of a head."""
    name = f"blocks.{block}"
    yield [_epsilon(design, f"{name}.norm1")]
    yield from _each_linear(design, f"{name}.vectors")
    yield from _attention(design, block)
    yield from _each_linear(design, f"{name}.out")
    yield [_epsilon(design, f"{name}.norm2")]
    yield from _each_linear(design, f"{name}.up")
    yield [ParameterRows(
        f"{name}.table", 1 << ACTIVATION_WIDTH, ACTIVATION_WIDTH,
        lambda image: table_rows(image.arrays[f"{name}.table"]),
    )]
    yield from _each_linear(design, f"{name}.down")


def _each_linear(design, name):
    return ([memory] for memory in _linear(design, name))


def _linear(design, name):
    rows = LinearRows(design.linears[name], design.fold(name))
    yield ParameterRows(
        f"{name}.weights", rows.fold.steps, rows.weight_bits,
        lambda image: rows.weights(image.linear(name)[0]),
    )
    yield ParameterRows(
        f"{name}.constants", rows.constant_count, rows.fold.granule * rows.constant_bits,
        lambda image: rows.constants(*image.linear(name)[1:]),
    )


def _constants(design, name, count):
    stride, lanes, width = design.constant_stride, design.lanes, design.residual_width
    return ParameterRows(
        name, count * stride, lanes * width,
        lambda image: constant_rows(image.arrays[name], stride, lanes, width),
    )


def _epsilon(design, norm):
    return ParameterRows(
        f"{norm}.epsilon", 1, design.norm.max_epsilon.bit_length(),
        lambda image: [int(image.arrays[f"{norm}.epsilon"])],
    )


def _attention(design, block):
    layout = MemoryMap(design.engine)

    def contents(head, region):
        return lambda image: [
            region.packed(row)
            for row in layout.rows(image.attention(block), head)[region.name].tolist()
        ]

    for head in range(design.heads):
        yield [
            ParameterRows(
                f"blocks.{block}.attention.{head}.{region.name}", region.rows,
                region.words * WORD_BITS, contents(head, region),
            )
            for region in layout.regions.values()
        ]


def _packed(values: Iterable[int], bits: int) -> int:
    """The bits of numbers side by side, the first lowest."""
    mask = (1 << bits) - 1
    return sum((int(value) & mask) << place * bits for place, value in enumerate(values))
