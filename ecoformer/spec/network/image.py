# SPDX-License-Identifier: Apache-2.0
"""The network image: every parameter of a network on the chip, as integers, in one checked file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from ecoformer.spec.arithmetic import signed_range
from ecoformer.spec.array_file import ArrayFile
from ecoformer.spec.bounds import Bounds
from ecoformer.spec.network.layers import MAX_SHIFT
from ecoformer.spec.network.transformer import ACTIVATION_WIDTH, Transformer
from ecoformer.spec.parameters import HOST_ARRAYS, SIDE_ARRAYS, ParameterImage, integer_arrays

__all__ = ["FORMAT_VERSION", "NetworkImage", "attention_name", "network_arrays"]

FORMAT_VERSION = 1
FILE = ArrayFile("network image", FORMAT_VERSION, "network")


@dataclass(frozen=True)
class NetworkImage:
    """Integer parameters of a whole network, by the names of :func:`network_arrays`.

    Parameters
    ----------
    arrays : dict of int64 array
    """

    arrays: dict[str, np.ndarray]

    def linear(self, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Weights [inputs, outputs], bias and shift [outputs] of the linear layer ``name``.

        The shift is None where sums leave the layer as they are.
        """
        return (
            self.arrays[f"{name}.weights"], self.arrays[f"{name}.bias"],
            self.arrays.get(f"{name}.shift"),
        )

    def attention(self, block: int) -> ParameterImage:
        """Parameters of the attention of a block: one set per head.

        What only a host needs is 0, because there is none between the layers.
        """
        prefix = attention_name(block, "")
        arrays = {
            name.removeprefix(prefix): array
            for name, array in self.arrays.items() if name.startswith(prefix)
        }
        heads = len(next(iter(arrays.values())))
        for name, kind in HOST_ARRAYS.items():
            arrays[name] = np.zeros(heads, dtype=kind)
            if name in SIDE_ARRAYS and any(other.startswith("query_") for other in arrays):
                arrays[f"query_{name}"] = np.zeros(heads, dtype=kind)
        return ParameterImage(**arrays)

    def check(self, design: Transformer) -> None:
        """Refuse names, shapes and values that do not fit ``design``.

        Raises
        ------
        ValueError
            Names the array and the rule that it breaks.
        """
        rules = network_arrays(design)
        for names, rule in (
            (rules.keys() - self.arrays.keys(), "be there"),
            (self.arrays.keys() - rules.keys(), "be absent"),
        ):
            if names:
                raise ValueError(f"{', '.join(sorted(names))} must {rule} in this network")
        for name, bounds in rules.items():
            bounds.check(name, self.arrays[name])

    def save(self, path: str | Path, design: Transformer) -> None:
        """Write the image for ``design`` atomically; the checksum covers every array.

        An array is kept in the narrowest type that holds what it may.
        """
        self.check(design)
        rules = network_arrays(design)
        narrow = {name: a.astype(rules[name].narrowest) for name, a in self.arrays.items()}
        FILE.save(path, narrow, design.bits_fingerprint)

    @classmethod
    def load(cls, path: str | Path, design: Transformer) -> Self:
        """Read the image at ``path``; check that it is intact and fits ``design``.

        Raises
        ------
        EcoformerError
            Missing, damaged, newer, or made for another network.
        """
        rules = network_arrays(design)
        kept = FILE.load(path, design.bits_fingerprint, rules)
        image = cls({name: array.astype(np.int64) for name, array in kept.items()})
        try:
            for name, array in kept.items():
                if array.dtype != (wanted := rules[name].narrowest):
                    raise ValueError(f"{name} must be {wanted}, not {array.dtype}")
            image.check(design)
        except ValueError as error:
            raise FILE.misfit(path, error) from error
        return image


def attention_name(block: int, array: str) -> str:
    """Name of an array of the attention of a block."""
    return f"blocks.{block}.attention.{array}"


def network_arrays(design: Transformer) -> dict[str, Bounds]:
    """Every array of a network image by name.

    ::

        <linear>.weights [inputs, outputs], .bias and .shift [outputs]
        positions [N, width]    <norm>.epsilon    blocks.I.table [256]
        embedding [vocabulary, width]    (of a decoder)
        blocks.I.attention.<arrays of a ParameterImage, one set per head>

    A linear layer whose sums leave it as they are has no shift.
    """
    rules = {
        name: _numbers((rows, design.width), design.residual_width)
        for name, rows in design.constants.items()
    }
    for name, shape in design.linears.items():
        extent = shape.inputs, shape.outputs
        rules[f"{name}.weights"] = Bounds.of_weights(extent, shape.weights)
        rules[f"{name}.bias"] = Bounds((shape.outputs,), -shape.max_bias, shape.max_bias)
        if shape.output_width:
            rules[f"{name}.shift"] = Bounds((shape.outputs,), 0, MAX_SHIFT)
    for name in design.norms:
        rules[f"{name}.epsilon"] = Bounds((), 1, design.norm.max_epsilon)
    of_a_head = integer_arrays(design.heads_engine)
    for block in range(design.depth):
        rules[f"blocks.{block}.table"] = _numbers((1 << ACTIVATION_WIDTH,), ACTIVATION_WIDTH)
        for name, bounds in of_a_head.items():
            rules[attention_name(block, name)] = bounds.stacked(design.heads)
    return rules


def _numbers(shape, width):
    return Bounds(shape, *signed_range(width))
