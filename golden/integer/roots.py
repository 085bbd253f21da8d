# SPDX-License-Identifier: Apache-2.0
"""Reciprocal square roots by table: 1/√n = ρ[t] / 2^(10 + e), 4^(e-1) ≤ n < 4^e, t = ⌊1024·n/4^e⌋.

ρ[t] = 2^10/√((t + 1/2)/1024), rounded: the middle of the cell (`spec.tables`).
"""

import numpy as np

from ecoformer.golden.integer.tables import ROOT
from ecoformer.spec.tables import ROOT_INDEX_BITS

__all__ = ["reciprocal_root"]


def reciprocal_root(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Exponent e and root ρ[t] of every non-negative int64 below 2^53; e = 0 for 0.

    Returns
    -------
    exponent, root : int64, of the shape of ``numbers``
    """
    exponent = (_bit_length(numbers) + 1) >> 1
    return exponent, ROOT[(numbers << ROOT_INDEX_BITS) >> (2 * exponent)]


def _bit_length(numbers):
    """Bits of each number; 0 has none."""
    length = np.zeros_like(numbers)
    for step in (32, 16, 8, 4, 2, 1):
        high = (numbers >> step) > 0
        length += high * step
        numbers = np.where(high, numbers >> step, numbers)
    return length + numbers
