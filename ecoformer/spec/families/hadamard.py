# SPDX-License-Identifier: Apache-2.0
"""``hash = "hadamard"``: h = sign(H·(s∘x) - t), a rotation by signs and additions alone.

H is a Walsh-Hadamard matrix and s a vector of signs, so the rows that tokens are projected onto are
orthogonal: a random rotation without weights. If there are more bits than elements, further
rotations with signs of their own follow. Source: Ailon and Chazelle, "The Fast
Johnson-Lindenstrauss Transform", SIAM Journal on Computing 39, 2009; of random rotations as hashes:
Andoni et al., "Practical and Optimal LSH for Angular Distance", NeurIPS 2015.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ecoformer.spec.bounds import Bounds
from ecoformer.spec.families.projected import ProjectedHash
from ecoformer.spec.folding import Fold
from ecoformer.spec.memory_map import THRESHOLD_SLOT, Region
from ecoformer.spec.units import Unit
from ecoformer.spec.walsh import WalshFold, walsh_signs
from ecoformer.spec.weights import SIGNS, WeightFormat

if TYPE_CHECKING:
    from ecoformer.spec.parameters import ParameterImage

__all__ = ["HadamardHash"]


class HadamardHash(ProjectedHash):
    """A rotation of the token; array ``projection`` has the signs s of every rotation."""

    @property
    def projection_inputs(self) -> int:
        return self.config.head_dim

    @cached_property
    def projection_fold(self) -> WalshFold:
        c = self.config
        return WalshFold(self.projection_inputs, c.code_bits, c.cycles_per_token)

    @property
    def weights(self) -> WeightFormat:
        return SIGNS

    @property
    def max_input_sum(self) -> int:
        return self.config.head_dim << (self.config.token_width - 1)

    @property
    def max_projection(self) -> int:
        """One more than a projection can be: a threshold that none reaches is stored, too."""
        return super().max_projection + 1

    @property
    def folds(self) -> dict[str, Fold]:
        return {"additions": self.projection_fold}

    @property
    def units(self) -> dict[str, Unit]:
        fold = self.projection_fold
        work = fold.butterflies * fold.steps + fold.outputs * fold.input_steps
        return {"additions": Unit(fold.lanes, fold.steps, work)}

    @property
    def parameters(self) -> dict[str, Bounds]:
        shape = self.projection_fold.rotations, self.projection_inputs
        return super().parameters | {"projection": self.weight_bounds(*shape)}

    def draw(self, rng: np.random.Generator, sets: int) -> dict[str, np.ndarray]:
        fold, limit = self.projection_fold, self.max_projection
        return {
            "projection": rng.choice((-1, 1), (sets, fold.rotations, fold.inputs)),
            "threshold": rng.integers(-limit, limit, (sets, fold.outputs), endpoint=True),
        }

    def matrix(self, signs: np.ndarray) -> np.ndarray:
        """What multiplies a token, ±1 as int64 [b, D], of signs [rotations, D]."""
        fold = self.projection_fold
        number = np.arange(fold.outputs)
        walsh = walsh_signs(number % fold.size, np.arange(fold.inputs))
        return walsh * np.asarray(signs)[number // fold.size]

    @property
    def regions(self) -> list[Region]:
        fold = self.projection_fold
        signs = fold.rotations_of_step * fold.input_lanes
        return [
            Region.of("projection", fold.steps, signs, self.weights.bits),
            Region.of("threshold", fold.output_steps, fold.output_lanes, THRESHOLD_SLOT),
        ]

    def rows(self, image: ParameterImage, index: int) -> dict[str, np.ndarray]:
        fold, signs = self.projection_fold, image.projection[index]
        padded = np.ones(
            (fold.rotations + fold.rotations_of_step, fold.input_steps, fold.input_lanes),
            dtype=np.int64,
        )
        padded.reshape(len(padded), -1)[: fold.rotations, : fold.inputs] = signs
        rows = [
            padded[first : first + fold.rotations_of_step, step].ravel()
            for first in map(fold.rotation_of, range(fold.output_steps))
            for step in range(fold.input_steps)
        ]
        # The chip inverts the bits of an element instead of its sign: ~x is -x - 1, and what its
        # results are too small by is the same for all tokens.
        short = np.where(signs[np.arange(fold.outputs) // fold.size] < 0, self.matrix(signs), 0)
        limit = self.max_projection
        threshold = np.zeros(fold.output_steps * fold.output_lanes, dtype=np.int64)
        threshold[: fold.outputs] = np.clip(
            image.threshold[index] + short.sum(axis=1), -limit, limit
        )
        return {
            "projection": self.weights.encode(np.array(rows)),
            "threshold": threshold.reshape(fold.output_steps, -1),
        }
