# SPDX-License-Identifier: Apache-2.0
"""What an array of parameters may hold, and how one that does not is refused."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np

from ecoformer.spec.weights import WeightFormat

__all__ = ["Bounds"]


class Bounds(NamedTuple):
    """What an integer array of a parameter image may hold.

    Parameters
    ----------
    shape : tuple of int
        Its shape; that of one parameter set where there are sets.
    low, high : int
        Smallest and largest element.
    weights : WeightFormat or None
        The format of which every element must be a weight.
    """

    shape: tuple[int, ...]
    low: int
    high: int
    weights: WeightFormat | None = None

    @classmethod
    def of_weights(cls, shape: tuple[int, ...], weights: WeightFormat) -> Self:
        """Bounds of an array of weights."""
        return cls(shape, weights.values[0], weights.values[-1], weights)

    @property
    def narrowest(self) -> np.dtype:
        """The narrowest signed type that holds every element."""
        return next(
            np.dtype(kind) for kind in (np.int8, np.int16, np.int32, np.int64)
            if np.iinfo(kind).min <= self.low and self.high <= np.iinfo(kind).max
        )

    def stacked(self, sets: int) -> Self:
        """Bounds of the arrays of several sets, stacked along a first axis."""
        return self._replace(shape=(sets, *self.shape))

    def check(self, name: str, array: np.ndarray) -> None:
        """Refuse an ``array`` of another shape or type, or with other elements.

        Raises
        ------
        ValueError
            ``<name> must <rule>, not <what it is>``.
        """
        if array.shape != self.shape:
            raise ValueError(f"{name} must have shape {self.shape}, not {array.shape}")
        if array.dtype != np.int64:
            raise ValueError(f"{name} must be int64, not {array.dtype}")
        if array.size and (array.min() < self.low or array.max() > self.high):
            raise ValueError(
                f"{name} must be {self.low}…{self.high}, not {array.min()}…{array.max()}"
            )
        if self.weights is not None and not self.weights.holds(array):
            raise ValueError(
                f"{name} must hold {self.weights.rule} with weights = {self.weights.name!r}"
            )
