# SPDX-License-Identifier: Apache-2.0
"""``hash = "rbf"``: the kernelized hash of the paper, on m Gaussian kernel values per token."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ecoformer.spec.arithmetic import BIAS_WIDTH, SHIFT_WIDTH, signed_range
from ecoformer.spec.bounds import Bounds
from ecoformer.spec.families.projected import ProjectedHash, draw_uniform
from ecoformer.spec.folding import Fold
from ecoformer.spec.memory_map import Region
from ecoformer.spec.tables import KERNEL_INDEX_BITS
from ecoformer.spec.units import Unit

if TYPE_CHECKING:
    from ecoformer.spec.parameters import ParameterImage

__all__ = ["KernelHash"]


class KernelHash(ProjectedHash):
    """Dot products with m anchors, a kernel value of each by table, and their projection.

    The kernel table is read between two blocks of dot products: the results of a block, one per
    output lane of `dot_fold`, are looked up ``kernel_lanes`` at a time.
    """

    scalars = ("shift",)

    @cached_property
    def dot_fold(self) -> Fold:
        """D × m dot products of the token with the anchors."""
        c = self.config
        return Fold(c.head_dim, c.anchors, c.cycles_per_token)

    @property
    def projection_inputs(self) -> int:
        return self.config.anchors

    @property
    def folds(self) -> dict[str, Fold]:
        return {"dot products": self.dot_fold, **super().folds}

    @property
    def units(self) -> dict[str, Unit]:
        c, dot = self.config, self.dot_fold
        return {
            "squared_norm": Unit(dot.input_lanes, dot.input_steps, c.head_dim, multiplies=True),
            "dot_products": Unit.of(dot, multiplies=self.weights.multiplies),
            "kernel_values": Unit(
                self.kernel_lanes, self.kernel_steps, c.anchors, multiplies=True
            ),
            **super().units,
        }

    # -- the kernel table ------------------------------------------------------------------------

    @property
    def kernel_lanes(self) -> int:
        """Kernel values looked up per cycle."""
        return -(-self.dot_fold.output_lanes // self.dot_fold.input_steps)

    @property
    def kernel_block_steps(self) -> int:
        """Cycles in which the kernel table is read for one block of dot products."""
        return -(-self.dot_fold.output_lanes // self.kernel_lanes)

    @property
    def kernel_steps(self) -> int:
        """Cycles per token in which the kernel table is read."""
        return self.dot_fold.output_steps * self.kernel_block_steps

    @property
    def kernel_slots(self) -> list[tuple[int, int]]:
        """Row and lane in which each anchor's kernel value is looked up."""
        slots = []
        for anchor in range(self.config.anchors):
            block, position = divmod(anchor, self.dot_fold.output_lanes)
            row, lane = divmod(position, self.kernel_lanes)
            slots.append((block * self.kernel_block_steps + row, lane))
        return slots

    # -- parameters ------------------------------------------------------------------------------

    @property
    def parameters(self) -> dict[str, Bounds]:
        c = self.config
        return {
            **super().parameters,
            "anchors": self.weight_bounds(c.anchors, c.head_dim),
            "bias": Bounds((c.anchors,), *signed_range(BIAS_WIDTH)),
            "shift": Bounds((), 0, 2**SHIFT_WIDTH - 1),
        }

    def draw(self, rng: np.random.Generator, sets: int) -> dict[str, np.ndarray]:
        c = self.config
        return {
            **super().draw(rng, sets),
            "anchors": self.draw_weights(rng, (sets, c.anchors, c.head_dim)),
            "bias": np.where(
                rng.random((sets, c.anchors)) < 0.25,
                draw_uniform(rng, (sets, c.anchors), 1 << (BIAS_WIDTH - 1)),
                rng.integers(0, 1 << KERNEL_INDEX_BITS, (sets, c.anchors)),
            ),
            "shift": np.where(
                rng.random(sets) < 0.75,
                rng.integers(10, 19, sets),
                rng.integers(0, 1 << SHIFT_WIDTH, sets),
            ),
        }

    @property
    def regions(self) -> list[Region]:
        dot = self.dot_fold
        return [
            Region.of("anchors", dot.steps, dot.lanes, self.weights.bits),
            Region.of("bias", self.kernel_steps, self.kernel_lanes, BIAS_WIDTH),
            *super().regions,
        ]

    def rows(self, image: ParameterImage, index: int) -> dict[str, np.ndarray]:
        bias = np.zeros((self.kernel_steps, self.kernel_lanes), dtype=np.int64)
        bias[tuple(np.transpose(self.kernel_slots))] = image.bias[index]
        return {
            "anchors": self.dot_fold.rows(self.weights.encode(image.anchors[index].T)),
            "bias": bias,
            **super().rows(image, index),
        }
