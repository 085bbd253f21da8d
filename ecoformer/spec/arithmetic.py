# SPDX-License-Identifier: Apache-2.0
"""Every width of the datapath, derived once from the configuration.

A width holds every value that an admitted input can produce, so sums never round and never
overflow. The integer model and the hardware both take their widths from here.
"""

from __future__ import annotations

from functools import cached_property
from math import isqrt
from typing import TYPE_CHECKING

from ecoformer.spec.tables import DOT_FRACTION, ROOT_FRACTION
from ecoformer.spec.weights import WEIGHT_FORMATS, WeightFormat

if TYPE_CHECKING:
    from ecoformer.spec.config import Config

__all__ = [
    "Arithmetic", "BIAS_WIDTH", "SHIFT_WIDTH", "SCALE_WIDTH", "GROUP_BITS", "signed_width",
    "signed_range",
]

BIAS_WIDTH = 16
"""Signed bits of the bias of one kernel argument."""
SHIFT_WIDTH = 5
"""Unsigned bits of the right shift that scales dot products to kernel arguments."""
SCALE_WIDTH = 9
"""Unsigned bits of the factor that makes differences of scores kernel arguments (softmax)."""
GROUP_BITS = 4
"""Code bits that address one table of sums (``bucketed``), if a code has that many."""


class Arithmetic:
    """Widths in bits of every quantity of an engine.

    Parameters
    ----------
    config : Config
    """

    def __init__(self, config: Config):
        self.config = config

    # -- hash ------------------------------------------------------------------------------------

    @property
    def weights(self) -> WeightFormat:
        """Format of anchors and projections."""
        return WEIGHT_FORMATS[self.config.weights]

    @cached_property
    def norm_width(self) -> int:
        """‖x‖², unsigned."""
        c = self.config
        return (c.head_dim << (2 * c.token_width - 2)).bit_length()

    @cached_property
    def max_exponent(self) -> int:
        """Largest e, where 4^(e-1) ≤ ‖x‖² < 4^e; e = 0 for the zero token."""
        return (self.norm_width + 1) // 2

    @cached_property
    def dot_width(self) -> int:
        """x·a, signed; every element can reach the product of the two smallest numbers."""
        c = self.config
        return signed_width(self.weights.limit * c.head_dim << (c.token_width - 1))

    @cached_property
    def scaled_dot_width(self) -> int:
        """floor(2^5·x·a / 2^e), signed: |x·a| < 2^e·‖a‖ by Cauchy-Schwarz, as ‖x‖ < 2^e."""
        c = self.config
        longest_anchor_squared = c.head_dim * self.weights.limit**2
        return signed_width(isqrt(longest_anchor_squared << (2 * DOT_FRACTION)) + 1)

    @cached_property
    def cosine_width(self) -> int:
        """Scaled dot product times reciprocal root, signed."""
        return self.scaled_dot_width + ROOT_FRACTION + 1

    @cached_property
    def max_projection(self) -> int:
        """Largest magnitude of a projection, Σ_j A[r,j]·κ_j or Σ_d W[r,d]·x_d."""
        return self.config.family.max_projection

    @cached_property
    def projection_width(self) -> int:
        """Projection and its threshold, signed."""
        return signed_width(self.max_projection)

    @cached_property
    def score_width(self) -> int:
        """x·x', signed (softmax); also holds a difference of two, which is never negative."""
        c = self.config
        return signed_width(c.head_dim << (2 * c.token_width - 2))

    # -- attention -------------------------------------------------------------------------------

    @cached_property
    def max_offset(self) -> int:
        """Largest offset C: c = 2b covers the paper's 2^c > b and the released b + 1."""
        return 2 * self.config.code_bits << self.config.offset_fraction

    @cached_property
    def offset_width(self) -> int:
        """Offset C, unsigned."""
        return self.max_offset.bit_length()

    @cached_property
    def state_width(self) -> int:
        """One element of S after ``max_tokens`` values, signed; -(-128) is reachable."""
        return signed_width(self.max_value_sum)

    @cached_property
    def code_sum_width(self) -> int:
        """One element of z after ``max_tokens`` codes, signed."""
        return signed_width(self.config.max_tokens)

    @cached_property
    def count_width(self) -> int:
        """Number of keys n, unsigned."""
        return self.config.max_tokens.bit_length()

    @cached_property
    def similarity_sum_width(self) -> int:
        """hᵀz, signed."""
        return signed_width(self.config.code_bits * self.config.max_tokens)

    @cached_property
    def plain_sum_width(self) -> int:
        """An unweighted sum of values, signed: V, or an entry of a table by code (``bucketed``)."""
        return (self.max_value_sum - 1).bit_length() + 1

    @property
    def group_bits(self) -> int:
        """Code bits of a group (``bucketed``); the last group may have fewer."""
        return min(GROUP_BITS, self.config.code_bits)

    @cached_property
    def table_sum_width(self) -> int:
        """What one group of code bits adds to an element of hᵀS (``bucketed``), signed."""
        return signed_width(self.group_bits * self.max_value_sum)

    @property
    def row_width(self) -> int:
        """One of the elements that a query adds up to hᵀS, signed."""
        return self.config.flow.row_width

    @cached_property
    def value_sum_width(self) -> int:
        """One element of hᵀS, signed."""
        return signed_width(self.config.code_bits * self.max_value_sum)

    @cached_property
    def numerator_width(self) -> int:
        """(hᵀS << g) + C·V, signed."""
        return signed_width(self.config.flow.max_weight * self.max_value_sum)

    @cached_property
    def denominator_width(self) -> int:
        """(hᵀz << g) + C·n, signed."""
        return signed_width(self.config.flow.max_weight * self.config.max_tokens)

    @cached_property
    def dividend_width(self) -> int:
        """2^f·num + floor(den/2) + 2^(output_width-1)·den, signed: what is divided by den."""
        c, largest = self.config, self.config.flow.max_weight
        return signed_width(
            (largest * self.max_value_sum << c.output_fraction)
            + (largest * c.max_tokens << c.output_width)
        )

    @property
    def max_value_sum(self) -> int:
        """Largest magnitude of a sum of ``max_tokens`` values."""
        return self.config.max_tokens << (self.config.value_width - 1)


def signed_width(magnitude: int) -> int:
    """Bits of a two's complement number that holds -magnitude…+magnitude."""
    return magnitude.bit_length() + 1


def signed_range(width: int) -> tuple[int, int]:
    """Smallest and largest two's complement number of ``width`` bits."""
    return -(1 << (width - 1)), (1 << (width - 1)) - 1
