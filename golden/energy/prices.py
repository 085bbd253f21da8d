# SPDX-License-Identifier: Apache-2.0
"""Energy of single operations and memory accesses in a 45 nm process, in picojoules.

All points are those of M. Horowitz, "Computing's energy problem (and what we can do about it)",
ISSCC 2014. The functions interpolate between them.
"""

from math import log

__all__ = [
    "DRAM", "DRAM_WORD", "FLOAT_ADDITION", "FLOAT_MULTIPLICATION", "INTEGER_ADDITION",
    "INTEGER_MULTIPLICATION", "SRAM", "WORD_BITS", "adder", "multiplier", "sram",
]

FLOAT_MULTIPLICATION = {16: 1.1, 32: 3.7}
FLOAT_ADDITION = {16: 0.4, 32: 0.9}
INTEGER_MULTIPLICATION = {8: 0.2, 32: 3.1}
INTEGER_ADDITION = {8: 0.03, 32: 0.1}
"""By the width of the operands in bits."""

WORD_BITS = 64
SRAM = {8 * 1024: 10.0, 32 * 1024: 20.0, 1024 * 1024: 100.0}
"""One access of 64 bits, by the size of the memory in bytes."""
DRAM_WORD = 1_300.0
"""One access of 64 bits; the lower of Horowitz's 1.3…2.6 nJ."""
DRAM = DRAM_WORD / WORD_BITS
"""One bit."""


def adder(bits: int) -> float:
    """An addition, subtraction or comparison of ``bits``: linear in the width."""
    return _line(INTEGER_ADDITION, bits, lambda width: width)


def multiplier(a: int, b: int) -> float:
    """A product of ``a`` × ``b`` bits: linear in the number of partial-product bits."""
    return _line(INTEGER_MULTIPLICATION, a * b, lambda width: width * width)


def sram(size: float) -> float:
    """One bit of an access to a memory of ``size`` bytes.

    A power law between the points; below them the one between the first two, which is the square
    root; above them banks of the largest.
    """
    points = sorted(SRAM.items())
    if size >= points[-1][0]:
        return points[-1][1] / WORD_BITS
    (s0, e0), (s1, e1) = points[:2] if size < points[1][0] else points[1:]
    return e0 * (size / s0) ** (log(e1 / e0) / log(s1 / s0)) / WORD_BITS


def _line(points, x, scale):
    """The line through two ``points``; below the first it runs to the origin."""
    (w0, e0), (w1, e1) = sorted(points.items())
    x0, x1 = scale(w0), scale(w1)
    return e0 * x / x0 if x < x0 else e0 + (e1 - e0) * (x - x0) / (x1 - x0)
