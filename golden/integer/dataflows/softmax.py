# SPDX-License-Identifier: Apache-2.0
"""Softmax attention on raw tokens in integers.

    s_ij = x_i·x_j                  u_ij = min(⌊(max_j s_ij - s_ij)·scale / 2^shift⌋, 2047)
    w_ij = ⌊511·exp(-u_ij/256) + 1/2⌋       num = Σ_j w_ij·v_j      den = Σ_j w_ij
"""

import numpy as np

from ecoformer.golden.integer.tables import EXPONENTIAL
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage

__all__ = ["softmax_sums", "sums"]


def sums(
    config: Config,
    image: ParameterImage,
    index: int,
    keys: np.ndarray,
    values: np.ndarray,
    queries: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Numerators [..., M, E] and denominators [..., M] of ``queries``."""
    return softmax_sums(keys, values, image.scale[index], image.shift[index], queries)


def softmax_sums(
    tokens: np.ndarray,
    values: np.ndarray,
    scale: int,
    shift: int,
    queries: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Numerators and denominators of ``queries``, which are ``tokens`` themselves if None."""
    queries = tokens if queries is None else queries
    scores = queries @ tokens.swapaxes(-1, -2)
    arguments = (scores.max(-1, keepdims=True) - scores) * scale >> shift
    weights = EXPONENTIAL[np.minimum(arguments, len(EXPONENTIAL) - 1)]
    return weights @ np.asarray(values, dtype=np.int64), weights.sum(-1)
