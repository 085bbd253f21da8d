# SPDX-License-Identifier: Apache-2.0
"""The tables of the datapath, built with integers only: the same on every machine."""

from functools import cache
from math import isqrt

__all__ = [
    "ROOT_INDEX_BITS", "ROOT_FRACTION", "DOT_FRACTION", "KERNEL_INDEX_BITS", "KERNEL_FRACTION",
    "KERNEL_WIDTH", "reciprocal_root_table", "exponential_table",
]

ROOT_INDEX_BITS = 10
"""Address bits of the reciprocal-root table: leading bits of the squared norm."""
ROOT_FRACTION = 10
"""Fraction bits of the reciprocal root, which lies in [1, 2)."""
DOT_FRACTION = 5
"""Fraction bits kept of a dot product after division by the power of two next to ‖x‖."""
KERNEL_INDEX_BITS = 11
"""Address bits of the exponential table: arguments 0…2047, one block RAM of 2048 × 9."""
KERNEL_FRACTION = 8
"""Fraction bits of a kernel argument: one table step is 1/256, so the table spans [0, 8)."""
KERNEL_WIDTH = 9
"""Unsigned bits of a kernel value κ; 511 stands for 1. Fits half a DSP block's multiplier."""


@cache
def reciprocal_root_table() -> tuple[int, ...]:
    """2^10/√t, rounded, at the middle of each cell of t = index/1024: 1,024 integers.

    A normalised squared norm has t in [1/4, 1), so only the zero token has an index below 256. Its
    dot products are 0 whatever the factor; those entries repeat entry 256.
    """
    size = 1 << ROOT_INDEX_BITS
    return tuple(
        (isqrt((4 << (2 * ROOT_FRACTION + ROOT_INDEX_BITS + 1)) // (2 * i + 1)) + 1) // 2
        for i in (max(i, size // 4) for i in range(size))
    )


@cache
def exponential_table() -> tuple[int, ...]:
    """511·exp(-i/256), rounded half up, for i = 0…2047."""
    one = 1 << 96
    step, term, n = 0, one, 0
    while term:  # Taylor series of exp(-1/256) in fixed point
        step += -term if n % 2 else term
        n += 1
        term = term // (n << KERNEL_FRACTION)
    values, power = [], one
    for _ in range(1 << KERNEL_INDEX_BITS):
        values.append((power * (2 * (2**KERNEL_WIDTH - 1)) + one) // (2 * one))
        power = power * step // one
    return tuple(values)
