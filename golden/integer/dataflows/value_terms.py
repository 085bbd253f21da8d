# SPDX-License-Identifier: Apache-2.0
"""What the offset multiplies in the numerator, one class per ``value_term``."""

import numpy as np

from ecoformer.spec.choices import ValueTerm

__all__ = ["VALUE_TERMS", "SumTerm", "OwnTerm"]


class SumTerm:
    """The sum of all values (paper)."""

    @staticmethod
    def term(total: np.ndarray, own: np.ndarray) -> np.ndarray:
        """What C multiplies: of sums [..., 1 or M, E], or the queries' own values [..., M, E]."""
        return total

    @staticmethod
    def pairs(count: int) -> np.ndarray:
        """Factor of C in the weight of every pair: [count, count], or broadcast to it."""
        return np.ones((1, 1), dtype=np.int64)


class OwnTerm:
    """The querying token's own value (released code)."""

    @staticmethod
    def term(total: np.ndarray, own: np.ndarray) -> np.ndarray:
        """Same as `SumTerm.term`."""
        return own

    @staticmethod
    def pairs(count: int) -> np.ndarray:
        """Same as `SumTerm.pairs`."""
        return np.eye(count, dtype=np.int64)


VALUE_TERMS: dict[ValueTerm, type[SumTerm | OwnTerm]] = {
    ValueTerm.SUM: SumTerm,
    ValueTerm.OWN: OwnTerm,
}
"""The term of every ``value_term``."""
