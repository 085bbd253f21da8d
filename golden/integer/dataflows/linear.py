# SPDX-License-Identifier: Apache-2.0
"""Linear attention by codes in integers.

    S = Σ_j h_j v_jᵀ    z = Σ_j h_j    V = Σ_j v_j, or the token's own value v_i
    num = (hᵀS << g) + C·V    den = (hᵀz << g) + C·n
"""

from typing import Any

import numpy as np

from ecoformer.golden.integer.dataflows.value_terms import VALUE_TERMS
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage

__all__ = ["State", "accumulate", "query", "sums"]

State = tuple[np.ndarray, np.ndarray, np.ndarray, int]
"""S [..., b, E], z [..., b], V [..., E], n (keys seen)."""


def sums(
    config: Config,
    image: ParameterImage,
    index: int,
    keys: np.ndarray,
    values: np.ndarray,
    queries: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Numerators [..., M, E] and denominators [..., M] of ``queries``."""
    return query(config, queries, accumulate(keys, values), image.offset[index], values)


def accumulate(codes: np.ndarray, values: np.ndarray) -> State:
    """State of sequences of codes [..., N, b] and values [..., N, E]."""
    values = np.asarray(values, dtype=np.int64)
    return codes.swapaxes(-1, -2) @ values, codes.sum(-2), values.sum(-2), codes.shape[-2]


def query(
    config: Config, codes: np.ndarray, state: State, offset: int, values: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Numerators [..., M, E] and denominators [..., M] of every token from the state.

    ``values`` [..., M, E] of the querying tokens are needed for ``value_term = "own"`` only.
    """
    S, z, V, n = state
    g = config.offset_fraction
    own: Any = None if values is None else np.asarray(values, dtype=np.int64)
    term = VALUE_TERMS[config.value_term].term(V[..., None, :], own)
    numerator = ((codes @ S) << g) + offset * term
    denominator = ((codes @ z[..., None])[..., 0] << g) + offset * n
    return numerator, denominator
