# SPDX-License-Identifier: Apache-2.0
"""``dataflow = "softmax"``: the attention that all others are compared with, on raw tokens."""

import numpy as np

from ecoformer.spec.arithmetic import SCALE_WIDTH, SHIFT_WIDTH
from ecoformer.spec.bounds import Bounds
from ecoformer.spec.dataflows.base import Flow
from ecoformer.spec.tables import KERNEL_INDEX_BITS, KERNEL_WIDTH
from ecoformer.spec.units import Unit

__all__ = ["Softmax"]


class Softmax(Flow):
    """Scores of every pair, and their exponentials by table."""

    scalars = ("shift", "scale")
    takes_codes = False

    @property
    def state_rows(self) -> int:
        """One: there are only sums."""
        return 1

    @property
    def units(self) -> dict[str, Unit]:
        d, e = self.config.head_dim, self.config.value_dim
        return {
            "score_products": Unit(d, 1, d, multiplies=True),
            "scale_product": Unit(1, 1, 1, multiplies=True),
            "weighted_sums": Unit(e, 1, e, multiplies=True),
        }

    @property
    def max_weight(self) -> int:
        """e^(s - max) by table."""
        return 2**KERNEL_WIDTH - 1

    @property
    def buffer_bits(self) -> int:
        """Tokens and values of every bank, and two rows of scores."""
        c = self.config
        depth = 1 << (c.max_tokens - 1).bit_length()
        tokens = c.state_banks * c.max_tokens * (c.sides.code_width + self.value_bits)
        return tokens + 2 * depth * self.bits.score_width

    @property
    def parameters(self) -> dict[str, Bounds]:
        return {
            "shift": Bounds((), 0, 2**SHIFT_WIDTH - 1),
            "scale": Bounds((), 0, 2**SCALE_WIDTH - 1),
        }

    def draw(self, rng: np.random.Generator, sets: int) -> dict[str, np.ndarray]:
        """Mostly such that the differences of scores spread over the table."""
        spread = self.bits.score_width - 1 + SCALE_WIDTH - KERNEL_INDEX_BITS
        likely = rng.integers(max(0, spread - 3), spread + 2, sets)
        return {
            "scale": rng.choice([0, 1, (1 << SCALE_WIDTH) - 1], sets, p=[0.1, 0.1, 0.8]),
            "shift": np.where(
                rng.random(sets) < 0.8, likely, rng.integers(0, 1 << SHIFT_WIDTH, sets)
            ),
        }
