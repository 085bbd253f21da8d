# SPDX-License-Identifier: Apache-2.0
"""The Walsh-Hadamard transform, and how one is spread over k cycles.

H[r,d] = (-1)^|r∧d|, where |r∧d| counts the bits that r and d share (Sylvester's order). With d =
j·L + i and r = q·L + p it is the product of H[q,j] and H[p,i]: L elements that come in a cycle are
transformed in log₂L levels of L additions each, and then added or subtracted in every result.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ecoformer.spec.folding import Fold

__all__ = ["WalshFold", "walsh_signs"]

RESULT = 3
"""Adders that a threshold and a comparison count for."""


def walsh_signs(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """H, ±1 as int64 [rows, columns], at these rows and columns of it, int64 arrays."""
    shared = np.asarray(rows)[:, None] & np.asarray(columns)
    odd = np.zeros_like(shared)
    while shared.any():
        odd ^= shared & 1
        shared >>= 1
    return 1 - 2 * odd


@dataclass(frozen=True)
class WalshFold(Fold):
    """Schedule of rotations of ``inputs`` elements, ``size`` results of each, ``outputs`` in all.

    A step takes a block of ``input_lanes`` elements, a power of two, into a block of results: those
    of several rotations, or a part of one that is as long as some power of two. The cut that costs
    least wins: a result, with its threshold and its comparison, counts as three adders, and one
    more where it is added up.

    Parameters
    ----------
    inputs, outputs, cycles
        Same as for `Fold`; ``cycles`` are a power of two.
    """

    @property
    def size(self) -> int:
        """Results of a rotation: the smallest power of two of at least ``inputs``."""
        return 1 << (self.inputs - 1).bit_length()

    @property
    def rotations(self) -> int:
        """How many there are; of the last one only the first results are taken."""
        return -(-self.outputs // self.size)

    @property
    def rotations_of_step(self) -> int:
        """How many a step works on."""
        return -(-self.output_lanes // self.size)

    @property
    def levels(self) -> int:
        """Levels of additions before a result adds up."""
        return self.input_lanes.bit_length() - 1

    @property
    def butterflies(self) -> int:
        """Adders of these levels."""
        return self.rotations_of_step * self.input_lanes * self.levels

    @property
    def lanes(self) -> int:
        """Adders, those of the results included."""
        return self.butterflies + self.output_lanes

    @cached_property
    def _cut(self) -> tuple[int, int]:
        def cost(cut):
            lanes, results = cut
            levels = -(-results // self.size) * lanes * (lanes.bit_length() - 1)
            return levels + results * (RESULT + (lanes < self.inputs)), lanes

        return min(self._cuts(), key=cost)

    def _cuts(self) -> Iterator[tuple[int, int]]:
        for exponent in range(self.size.bit_length()):
            lanes = 1 << exponent
            rotation = min(self.size, self.outputs)
            parts = {1 << n for n in range(exponent, (rotation - 1).bit_length())}
            whole = {count * self.size for count in range(1, self.rotations)}
            for results in sorted(parts | whole | {self.outputs}):
                if -(-self.inputs // lanes) * -(-self.outputs // results) <= self.cycles:
                    yield lanes, results

    def rotation_of(self, output_step: int) -> int:
        """The first rotation that a step of this block of results works on."""
        return output_step * self.output_lanes // self.size
