# SPDX-License-Identifier: Apache-2.0
"""The same attention from every pair of codes, quadratic in N: ``2·popcount(xnor) - b``."""

import numpy as np

from ecoformer.golden.integer.dataflows.value_terms import VALUE_TERMS
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage

__all__ = ["causal_sums", "similarity_sums", "sums"]


def sums(
    config: Config,
    image: ParameterImage,
    index: int,
    keys: np.ndarray,
    values: np.ndarray,
    queries: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Numerators [..., M, E] and denominators [..., M] of ``queries``."""
    return similarity_sums(config, keys, values, image.offset[index], queries)


def causal_sums(
    config: Config,
    image: ParameterImage,
    index: int,
    keys: np.ndarray,
    values: np.ndarray,
    queries: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Same as :func:`sums`, with pairs j ≤ i only."""
    so_far = np.tril(np.ones((keys.shape[-2],) * 2, dtype=np.int64))
    return similarity_sums(config, keys, values, image.offset[index], queries, so_far)


def similarity_sums(
    config: Config,
    codes: np.ndarray,
    values: np.ndarray,
    offset: int,
    queries: np.ndarray | None = None,
    met: np.ndarray | int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Numerators and denominators of ``queries``, which are ``codes`` themselves if None.

    ``met`` [M, N] is 1 for pairs that count, 0 for others.
    """
    queries = codes if queries is None else queries
    equal = (queries > 0)[..., :, None, :] == (codes > 0)[..., None, :, :]
    similarity = (2 * equal.sum(-1) - codes.shape[-1]) << config.offset_fraction
    count = codes.shape[-2]
    pairs = VALUE_TERMS[config.value_term].pairs(count)
    numerator = (met * (similarity + offset * pairs)) @ np.asarray(values, dtype=np.int64)
    return numerator, (met * (similarity + offset)).sum(-1)
