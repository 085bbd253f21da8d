# SPDX-License-Identifier: Apache-2.0
"""What all dataflows share whose attention weight is a similarity of codes plus an offset."""

from __future__ import annotations

import numpy as np

from ecoformer.spec.bounds import Bounds
from ecoformer.spec.dataflows.base import Flow

__all__ = ["CodedFlow"]


class CodedFlow(Flow):
    """Attention weights ((h·h') << g) + C."""

    scalars = ("offset",)

    @property
    def state_rows(self) -> int:
        return self.config.code_bits

    @property
    def max_weight(self) -> int:
        return (self.config.code_bits << self.config.offset_fraction) + self.bits.max_offset

    @property
    def parameters(self) -> dict[str, Bounds]:
        return {"offset": Bounds((), 0, self.bits.max_offset)}

    def draw(self, rng: np.random.Generator, sets: int) -> dict[str, np.ndarray]:
        largest = self.bits.max_offset
        extreme = rng.choice([0, largest, largest // 2], sets)
        offset = rng.integers(0, largest + 1, sets)
        return {"offset": np.where(rng.random(sets) < 0.5, extreme, offset)}
