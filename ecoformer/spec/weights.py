"""What anchors and projections may hold, and the bits that stand for it on the chip."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

__all__ = ["WeightFormat", "WEIGHT_FORMATS"]


@dataclass(frozen=True)
class WeightFormat:
    """The weights of one ``weights`` choice.

    Parameters
    ----------
    name : str
    bits : int
        Bits of one weight in a parameter memory.
    values : tuple of int
        Every admitted weight, ascending.
    """

    name: str
    bits: int
    values: tuple

    @cached_property
    def limit(self):
        """Largest magnitude."""
        return max(map(abs, self.values))

    @property
    def rule(self):
        """The admitted weights in words, for messages."""
        return {
            "int8": f"{self.values[0]}…{self.values[-1]}",
            "pow2": f"0 or ±2^e with e = 0…{self.max_exponent}",
            "ternary": "-1, 0 or 1",
        }[self.name]

    @property
    def max_exponent(self):
        """Largest e where weights are 0 or ±2^e."""
        return self.limit.bit_length() - 1

    def holds(self, weights):
        """Whether every weight of an int64 array is admitted."""
        return bool(np.isin(weights, self.values).all())

    def encode(self, weights):
        """Unsigned codes of ``bits`` bits of an int64 array of admitted weights.

        ``pow2``: the sign above e + 1, which is 0 for the weight 0. Others: two's complement.
        """
        weights = np.asarray(weights, dtype=np.int64)
        if self.name != "pow2":
            return weights & ((1 << self.bits) - 1)
        exponents = (np.abs(weights)[..., None] >> np.arange(self.bits * 2) > 0).sum(-1)
        return (weights < 0).astype(np.int64) << (self.bits - 1) | exponents


_POWERS = tuple(1 << e for e in range(7))
WEIGHT_FORMATS = {
    form.name: form
    for form in (
        WeightFormat("int8", 8, tuple(range(-128, 128))),
        WeightFormat("pow2", 4, (*(-p for p in reversed(_POWERS)), 0, *_POWERS)),
        WeightFormat("ternary", 2, (-1, 0, 1)),
    )
}
"""Every format by its name in the configuration. ``pow2`` and ``ternary`` need no multiplier."""
