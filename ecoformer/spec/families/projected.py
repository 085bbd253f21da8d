# SPDX-License-Identifier: Apache-2.0
"""What all families share that hash on the chip: a projection onto b bits, and b thresholds."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ecoformer.spec.bounds import Bounds
from ecoformer.spec.families.base import Family
from ecoformer.spec.folding import Fold
from ecoformer.spec.memory_map import THRESHOLD_SLOT, Region
from ecoformer.spec.units import Unit

if TYPE_CHECKING:
    from ecoformer.spec.parameters import ParameterImage

__all__ = ["ProjectedHash", "draw_uniform"]

EXTREME_WEIGHTS = 0.1
"""Share of the smallest and the largest weight among random ones."""


class ProjectedHash(Family):
    """h_r = +1 where the projection of some vector on row r is at least threshold[r]."""

    @property
    def projection_inputs(self) -> int:
        """Elements of the vector that is projected."""
        raise NotImplementedError

    @cached_property
    def projection_fold(self) -> Fold:
        """Projection of the vector onto b bits."""
        c = self.config
        return Fold(self.projection_inputs, c.code_bits, c.cycles_per_token)

    @property
    def folds(self) -> dict[str, Fold]:
        return {"projection products": self.projection_fold}

    @property
    def units(self) -> dict[str, Unit]:
        return {
            "projection_products": Unit.of(
                self.projection_fold, multiplies=self.weights.multiplies
            )
        }

    @property
    def parameters(self) -> dict[str, Bounds]:
        fold, limit = self.projection_fold, self.max_projection
        return {
            "projection": self.weight_bounds(fold.outputs, fold.inputs),
            "threshold": Bounds((fold.outputs,), -limit, limit),
        }

    def weight_bounds(self, *shape: int) -> Bounds:
        """Bounds of an array of weights."""
        return Bounds.of_weights(shape, self.weights)

    def draw(self, rng: np.random.Generator, sets: int) -> dict[str, np.ndarray]:
        fold = self.projection_fold
        return {
            "projection": self.draw_weights(rng, (sets, fold.outputs, fold.inputs)),
            "threshold": draw_uniform(rng, (sets, fold.outputs), self.max_projection),
        }

    def draw_weights(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Weights of any size, :data:`EXTREME_WEIGHTS` of them extremes."""
        values = np.array(self.weights.values)
        extremes = rng.choice(values[[0, -1]], shape)
        return np.where(rng.random(shape) < EXTREME_WEIGHTS, extremes, rng.choice(values, shape))

    @property
    def regions(self) -> list[Region]:
        fold = self.projection_fold
        return [
            Region.of("projection", fold.steps, fold.lanes, self.weights.bits),
            Region.of("threshold", fold.output_steps, fold.output_lanes, THRESHOLD_SLOT),
        ]

    def rows(self, image: ParameterImage, index: int) -> dict[str, np.ndarray]:
        fold = self.projection_fold
        threshold = np.zeros(fold.output_steps * fold.output_lanes, dtype=np.int64)
        threshold[: fold.outputs] = image.threshold[index]
        return {
            "projection": fold.rows(self.weights.encode(image.projection[index].T)),
            "threshold": threshold.reshape(fold.output_steps, -1),
        }


def draw_uniform(rng: np.random.Generator, shape: tuple[int, ...], limit: int) -> np.ndarray:
    """Random integers -limit…limit-1."""
    return rng.integers(-limit, limit, shape)
