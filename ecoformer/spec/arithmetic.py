"""Every width and table of the datapath, derived once from the configuration.

A width holds every value that an admitted input can produce, so sums never round and never
overflow. Integer model and hardware both ask here; the tables are built with integers
only, so that they are the same on every machine.
"""

from functools import cache, cached_property
from math import isqrt

from ecoformer.spec.weights import WEIGHT_FORMATS

__all__ = ["Arithmetic", "reciprocal_root_table", "exponential_table"]

BIAS_WIDTH = 16
"""Signed bits of the bias of one kernel argument."""
SHIFT_WIDTH = 5
"""Unsigned bits of the right shift that scales dot products to kernel arguments."""

ROOT_INDEX_BITS = 10
"""The squared norm is cut to this many leading bits before the reciprocal root is looked up."""
ROOT_FRACTION = 10
"""Fraction bits of the reciprocal root, which lies in [1, 2)."""
DOT_FRACTION = 5
"""Fraction bits kept of a dot product after division by the power of two next to ‖x‖."""
KERNEL_INDEX_BITS = 11
"""Address bits of the exponential table: arguments 0…2047, one block RAM of 2048 × 9."""
KERNEL_FRACTION = 8
"""Fraction bits of a kernel argument: one table step is 1/256, so the table spans [0, 8)."""
KERNEL_WIDTH = 9
"""Unsigned bits of a kernel value κ; 511 stands for 1. Still half a DSP block's multiplier."""
SCALE_WIDTH = 9
"""Unsigned bits of the factor that makes differences of scores kernel arguments (softmax)."""


class Arithmetic:
    """Widths in bits of every quantity of an engine.

    Parameters
    ----------
    config : Config
        Shape of the engine.
    """

    def __init__(self, config):
        self.config = config

    # -- hash ------------------------------------------------------------------------------------

    @property
    def weights(self):
        """`WeightFormat` of anchors and projections."""
        return WEIGHT_FORMATS[self.config.weights]

    @cached_property
    def norm_width(self):
        """‖x‖², unsigned."""
        c = self.config
        return (c.head_dim << (2 * c.token_width - 2)).bit_length()

    @cached_property
    def max_exponent(self):
        """Largest e, where 4^(e-1) ≤ ‖x‖² < 4^e; e = 0 for the zero token."""
        return (self.norm_width + 1) // 2

    @cached_property
    def dot_width(self):
        """x·a, signed; the product of both lowest numbers is reachable in every element."""
        c = self.config
        return signed_width(self.weights.limit * c.head_dim << (c.token_width - 1))

    @cached_property
    def scaled_dot_width(self):
        """floor(2^5·x·a / 2^e), signed: |x·a| < 2^e·‖a‖ by Cauchy-Schwarz, as ‖x‖ < 2^e."""
        c = self.config
        longest_anchor_squared = c.head_dim * self.weights.limit**2
        return signed_width(isqrt(longest_anchor_squared << (2 * DOT_FRACTION)) + 1)

    @cached_property
    def cosine_width(self):
        """Scaled dot product times reciprocal root, signed."""
        return self.scaled_dot_width + ROOT_FRACTION + 1

    @cached_property
    def max_projection(self):
        """Largest magnitude of Σ_j A[r,j]·κ_j, or (``linear``) of Σ_d W[r,d]·x_d."""
        c = self.config
        if c.hash == "linear":
            return self.weights.limit * c.head_dim << (c.token_width - 1)
        return self.weights.limit * c.anchors * (2**KERNEL_WIDTH - 1)

    @cached_property
    def projection_width(self):
        """Projection and its threshold, signed."""
        return signed_width(self.max_projection)

    @cached_property
    def score_width(self):
        """x·x', signed (softmax); a difference of two, which is not negative, takes as many."""
        c = self.config
        return signed_width(c.head_dim << (2 * c.token_width - 2))

    # -- attention -------------------------------------------------------------------------------

    @cached_property
    def max_offset(self):
        """Largest offset C: c = 2b covers the paper's 2^c > b and the released b + 1."""
        return 2 * self.config.code_bits << self.config.offset_fraction

    @cached_property
    def offset_width(self):
        """Offset C, unsigned."""
        return self.max_offset.bit_length()

    @cached_property
    def state_width(self):
        """One element of S after ``max_tokens`` values, signed; -(-128) is reachable."""
        return signed_width(self._max_value_sum)

    @cached_property
    def code_sum_width(self):
        """One element of z after ``max_tokens`` codes, signed."""
        return signed_width(self.config.max_tokens)

    @cached_property
    def count_width(self):
        """Number of keys n, unsigned."""
        return self.config.max_tokens.bit_length()

    @cached_property
    def similarity_sum_width(self):
        """hᵀz, signed."""
        return signed_width(self.config.code_bits * self.config.max_tokens)

    @cached_property
    def plain_sum_width(self):
        """A sum of values as they are, signed: of V, or of a table by code (``bucketed``)."""
        return (self._max_value_sum - 1).bit_length() + 1

    @cached_property
    def table_sum_width(self):
        """What one group of code bits adds to an element of hᵀS (``bucketed``), signed."""
        return signed_width(self.config.group_bits * self._max_value_sum)

    @property
    def row_width(self):
        """One of the elements that a query adds up to hᵀS, signed."""
        return self.table_sum_width if self.config.dataflow == "bucketed" else self.state_width

    @cached_property
    def value_sum_width(self):
        """One element of hᵀS, signed."""
        return signed_width(self.config.code_bits * self._max_value_sum)

    @cached_property
    def numerator_width(self):
        """(hᵀS << g) + C·V, signed."""
        return signed_width(self._max_weight * self._max_value_sum)

    @cached_property
    def denominator_width(self):
        """(hᵀz << g) + C·n, signed."""
        return signed_width(self._max_weight * self.config.max_tokens)

    @cached_property
    def dividend_width(self):
        """2^f·num + floor(den/2) + 2^(output_width-1)·den, signed: what is divided by den."""
        c = self.config
        return signed_width(
            (self._max_weight * self._max_value_sum << c.output_fraction)
            + (self._max_weight * c.max_tokens << c.output_width)
        )

    @property
    def _max_weight(self):
        """Largest magnitude of one attention weight ((h·h) << g) + C, or of e^(s - max)."""
        if self.config.hash == "none":
            return 2**KERNEL_WIDTH - 1
        return (self.config.code_bits << self.config.offset_fraction) + self.max_offset

    @property
    def _max_value_sum(self):
        return self.config.max_tokens << (self.config.value_width - 1)


def signed_width(magnitude):
    """Bits of a two's complement number that holds -magnitude…+magnitude."""
    return magnitude.bit_length() + 1


@cache
def reciprocal_root_table():
    """2^10/√t at the middle of each cell of t = index/1024, rounded, as a tuple of 1,024 integers.

    A normalised squared norm has t in [1/4, 1), so indices below 256 occur for the zero token
    only, whose dot products are 0 whatever the factor; they repeat entry 256.
    """
    size = 1 << ROOT_INDEX_BITS
    return tuple(
        (isqrt((4 << (2 * ROOT_FRACTION + ROOT_INDEX_BITS + 1)) // (2 * i + 1)) + 1) // 2
        for i in (max(i, size // 4) for i in range(size))
    )


@cache
def exponential_table():
    """511·exp(-i/256), rounded half up, for i = 0…2047, as a tuple of integers."""
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
