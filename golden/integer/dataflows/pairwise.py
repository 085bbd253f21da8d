# SPDX-License-Identifier: Apache-2.0
"""The same attention from every pair of codes, quadratic in N: ``2·popcount(xnor) - b``."""

import numpy as np

from ecoformer.golden.integer.dataflows.value_terms import VALUE_TERMS
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage

__all__ = ["similarity_sums", "sums"]


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


def similarity_sums(
    config: Config,
    codes: np.ndarray,
    values: np.ndarray,
    offset: int,
    queries: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Numerators and denominators of ``queries``, which are ``codes`` themselves if None."""
    queries = codes if queries is None else queries
    equal = (queries > 0)[..., :, None, :] == (codes > 0)[..., None, :, :]
    similarity = (2 * equal.sum(-1) - codes.shape[-1]) << config.offset_fraction
    count = codes.shape[-2]
    pairs = VALUE_TERMS[config.value_term].pairs(count)
    numerator = (similarity + offset * pairs) @ np.asarray(values, dtype=np.int64)
    return numerator, similarity.sum(-1) + offset * count
