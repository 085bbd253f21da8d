# SPDX-License-Identifier: Apache-2.0
"""What anchors and projections may hold, and the bits that stand for it on the chip."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ecoformer.spec.choices import Weights

__all__ = ["PowerFormat", "SIGNS", "SignFormat", "WEIGHT_FORMATS", "WeightFormat"]


@dataclass(frozen=True)
class WeightFormat:
    """The weights of one ``weights`` choice, encoded in two's complement.

    Parameters
    ----------
    name : str
    bits : int
        Bits of one weight in a parameter memory.
    values : tuple of int
        Every admitted weight, ascending.
    rule : str
        The admitted weights in words, for messages.
    multiplies : bool
        Whether a product with such a weight takes a multiplier.
    """

    name: str
    bits: int
    values: tuple[int, ...]
    rule: str
    multiplies: bool = False

    @cached_property
    def limit(self) -> int:
        """Largest magnitude."""
        return max(map(abs, self.values))

    @property
    def max_exponent(self) -> int:
        """Largest e where weights are 0 or ±2^e."""
        return self.limit.bit_length() - 1

    def holds(self, weights: np.ndarray) -> bool:
        """Whether every weight of an int64 array is admitted."""
        return bool(np.isin(weights, self.values).all())

    def encode(self, weights: np.ndarray) -> np.ndarray:
        """Unsigned codes of ``bits`` bits of an int64 array of admitted weights."""
        return np.asarray(weights, dtype=np.int64) & ((1 << self.bits) - 1)


class PowerFormat(WeightFormat):
    """Weights 0 and ±2^e, encoded as the sign above e + 1, which is 0 for the weight 0."""

    def encode(self, weights: np.ndarray) -> np.ndarray:
        weights = np.asarray(weights, dtype=np.int64)
        exponents = (np.abs(weights)[..., None] >> np.arange(self.bits * 2) > 0).sum(-1)
        return (weights < 0).astype(np.int64) << (self.bits - 1) | exponents


class SignFormat(WeightFormat):
    """Weights ±1 in a bit, which is 1 for -1."""

    def encode(self, weights: np.ndarray) -> np.ndarray:
        return (np.asarray(weights) < 0).astype(np.int64)


_POWERS = tuple(1 << e for e in range(7))
WEIGHT_FORMATS: dict[Weights, WeightFormat] = {
    Weights.INT8: WeightFormat(
        "int8", 8, tuple(range(-128, 128)), "-128…127", multiplies=True
    ),
    Weights.POW2: PowerFormat(
        "pow2", 4, (*(-p for p in reversed(_POWERS)), 0, *_POWERS), "0 or ±2^e with e = 0…6"
    ),
    Weights.TERNARY: WeightFormat("ternary", 2, (-1, 0, 1), "-1, 0 or 1"),
}
"""Format of every ``weights``. ``pow2`` and ``ternary`` need no multiplier."""
SIGNS = SignFormat("sign", 1, (-1, 1), "-1 or 1")
"""Of a hash that has no other weights."""
