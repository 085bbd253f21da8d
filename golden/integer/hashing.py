# SPDX-License-Identifier: Apache-2.0
"""Hash of tokens in integers, by the family of the configuration (`golden.integer.families`)."""

import numpy as np

from ecoformer.golden.integer.families import FAMILIES, HashTrace
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage

__all__ = ["HashTrace", "hash_tokens", "trace_tokens"]


def hash_tokens(
    config: Config, image: ParameterImage, index: int, tokens: np.ndarray
) -> np.ndarray:
    """Codes of tokens under one parameter set.

    Parameters
    ----------
    tokens : int64 [..., N, D]
        The codes themselves, ±1 [..., N, b], with ``hash = "codes"``.

    Returns
    -------
    int64 ±1 [..., N, b]
    """
    return trace_tokens(config, image, index, tokens).codes


def trace_tokens(
    config: Config, image: ParameterImage, index: int, tokens: np.ndarray
) -> HashTrace:
    """Same as :func:`hash_tokens`, with every stage on the way."""
    return FAMILIES[config.hash](image, index, np.asarray(tokens, dtype=np.int64))
