# SPDX-License-Identifier: Apache-2.0
"""What a pair of packets must be answered with, where queries come on a stream of their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ecoformer.golden.integer.attention import attend
from ecoformer.sim.contexts import Answer
from ecoformer.spec.parameters import ParameterImage

__all__ = ["PairAnswer"]


@dataclass(frozen=True, kw_only=True, eq=False)
class PairAnswer(Answer):
    """Answer to a packet of keys and one of queries; ``tokens`` are the keys.

    Parameters
    ----------
    asking : ParameterImage or None
        Holds the set that the queries are hashed with; that of the keys if the pair is good.
    asking_index : int
        That set within ``asking``.
    queries : int64 array [M, D]
        Whole queries of the packet; of a bad one, those that reach the hash unit.
    """

    asking: ParameterImage | None
    asking_index: int
    queries: np.ndarray

    @property
    def answered(self) -> int:
        return len(self.queries) if self.error is None else 0

    def _attend(self):
        outputs, guarded = attend(
            self.config, self._loaded, self.index, self.tokens, self.values, self.queries
        )
        return outputs, int(guarded)

    @property
    def codes(self) -> list[np.ndarray]:
        asked = self._codes(1, self.asking, self.asking_index, self.queries)
        return [*super().codes, asked]
