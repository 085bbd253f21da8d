# SPDX-License-Identifier: Apache-2.0
"""Shapes and widths of the layers of a network in integers.

The bits of every layer are those of `golden.integer.network`, which takes its widths from here, as
the hardware does.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from ecoformer.spec.arithmetic import signed_width
from ecoformer.spec.choices import Weights
from ecoformer.spec.folding import Fold
from ecoformer.spec.tables import ROOT_FRACTION
from ecoformer.spec.weights import WEIGHT_FORMATS, WeightFormat

__all__ = ["MAX_SHIFT", "MEAN_FRACTION", "LinearShape", "NormShape", "RingShape"]

MAX_SHIFT = 31
"""Largest right shift of a sum to an output."""
MEAN_FRACTION = 16
"""Fraction bits of the reciprocal of a width that is not a power of two."""


@dataclass(frozen=True)
class LinearShape:
    """A linear layer: y = ⌊(W·x + bias) / 2^shift⌋, saturated; bias and shift for every output.

    Half of 2^shift is part of the bias, so this rounds to nearest.

    Parameters
    ----------
    inputs, outputs : int
    input_width : int
        Signed bits of an input element.
    output_width : int
        Signed bits of an output element; 0 leaves the sum as it is, without a shift.
    format : Weights
        What the weights may be.
    by_adders : bool
        Whether products are made by adders even where the weights need a multiplier; no bit
        depends on it.
    """

    inputs: int
    outputs: int
    input_width: int
    output_width: int
    format: Weights = Weights.INT8
    by_adders: bool = False

    @property
    def weights(self) -> WeightFormat:
        """Format of the weights."""
        return WEIGHT_FORMATS[self.format]

    @property
    def multiplies(self) -> bool:
        """Whether a lane takes a multiplier."""
        return self.weights.multiplies and not self.by_adders

    @property
    def max_sum(self) -> int:
        """Largest magnitude of W·x."""
        return self.inputs * self.weights.limit << (self.input_width - 1)

    @property
    def max_bias(self) -> int:
        """Largest magnitude of a bias: what cancels any sum, and half of the largest shift."""
        return self.max_sum

    @property
    def product_width(self) -> int:
        """W·x, signed."""
        return signed_width(self.max_sum)

    @property
    def sum_width(self) -> int:
        """W·x + bias, signed."""
        return signed_width(self.max_sum + self.max_bias)

    @property
    def result_width(self) -> int:
        """Signed bits of what leaves the layer."""
        return self.output_width or self.sum_width

    def fold(self, cycles: int, granule: int = 1) -> Fold:
        """How the layer is spread over ``cycles`` cycles a token.

        ``granule`` is how many elements come, and leave, in a cycle.
        """
        if self.multiplies:
            return Fold(self.inputs, self.outputs, cycles, granule)
        # A result has a register in which it grows, and one in which it waits to leave.
        bits = self.input_width, 2 * self.product_width
        return Fold(self.inputs, self.outputs, cycles, granule, *bits)


@dataclass(frozen=True)
class NormShape:
    """Layer norm without its affine part, which the linear layer behind it takes over.

        mean = ⌊(reciprocal · Σ x + half) / 2^mean_shift⌋,  d = x - mean,  V = Σ d² + epsilon
        4^(e-1) ≤ V < 4^e,  root = reciprocal_root_table[⌊2^10 · V / 4^e⌋]
        y = ⌊(d · root + 2^(s-1)) / 2^s⌋, saturated, with s = e + 10 - fraction

    y stands for d/‖d‖ with ``fraction`` fraction bits: a normalised vector has length 1 here, not
    √width, which the linear layer behind takes over as well.

    Parameters
    ----------
    width : int
        Elements of a token.
    input_width, output_width : int
        Signed bits of an element.
    """

    width: int
    input_width: int
    output_width: int

    @cached_property
    def mean_shift(self) -> int:
        """Right shift of the sum times ``reciprocal``."""
        bits = (self.width - 1).bit_length()
        return bits if self.width == 1 << bits else bits + MEAN_FRACTION

    @cached_property
    def reciprocal(self) -> int:
        """2^mean_shift / width, rounded: 1 where the width is a power of two."""
        return ((2 << self.mean_shift) // self.width + 1) // 2

    @property
    def total_width(self) -> int:
        """Σ x, signed."""
        return signed_width(self.width << (self.input_width - 1))

    @property
    def difference_width(self) -> int:
        """x - mean, signed."""
        return self.input_width + 1

    @property
    def max_epsilon(self) -> int:
        """Largest epsilon."""
        return (1 << (2 * self.input_width - 2)) - 1

    @property
    def max_square_sum(self) -> int:
        """Largest Σ d² + epsilon."""
        return (self.width << (2 * self.input_width)) + self.max_epsilon

    @property
    def square_width(self) -> int:
        """Σ d² + epsilon, unsigned."""
        return self.max_square_sum.bit_length()

    @property
    def max_exponent(self) -> int:
        """Largest e."""
        return (self.square_width + 1) // 2

    @property
    def fraction(self) -> int:
        """Fraction bits of an output: four standard deviations fill its range."""
        bits = (self.width - 1).bit_length()
        return min(self.output_width - 3 + bits // 2, ROOT_FRACTION)


@dataclass(frozen=True)
class RingShape:
    """What waits around a block that all blocks of a network share.

    Parameters
    ----------
    tokens : int
        Of an image.
    inside : int
        Tokens that may be in the block at once.
    """

    tokens: int
    inside: int

    SPARE: ClassVar[int] = 2
    """Tokens that may come while all of an image wait to enter."""
    LEAST_IMAGES: ClassVar[int] = 2
    """Images in the ring with which one can enter the block while another leaves it."""

    @property
    def images(self) -> int:
        """Images in the ring at once, so many that the block need not wait for one to come out."""
        return max(self.LEAST_IMAGES, -(-self.inside // self.tokens))

    @property
    def entering(self) -> int:
        """Tokens that may wait for their first pass."""
        return self.tokens + self.SPARE

    @property
    def waiting(self) -> int:
        """Tokens that may wait for another pass: all of all images."""
        return self.images * self.tokens
