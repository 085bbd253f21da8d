# SPDX-License-Identifier: Apache-2.0
"""Hash of tokens in integers, by the family of the configuration (`golden.integer.families`)."""

import numpy as np

from ecoformer.golden.integer.families import FAMILIES, HashTrace
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.sides import Vectors

__all__ = ["HashTrace", "hash_tokens", "trace_tokens"]


def hash_tokens(
    config: Config,
    image: ParameterImage,
    index: int,
    tokens: np.ndarray,
    sides: Vectors | None = None,
) -> np.ndarray:
    """Codes of tokens under one parameter set.

    Parameters
    ----------
    tokens : int64 [..., N, D]
        The codes themselves, ±1 [..., N, b], with ``hash = "codes"``. With separate queries q and k
        side by side, [..., N, 2D] or [..., N, 2b].
    sides : Vectors
        Whose vectors the tokens have; those of all sides by default.

    Returns
    -------
    int64 ±1 [..., N, b]
        With separate queries those of q and of k side by side, [..., N, 2b].

    Raises
    ------
    ValueError
        Vectors of some side are missing.
    """
    sides, tokens = config.sides if sides is None else sides, np.asarray(tokens)
    if tokens.shape[-1] != sides.elements:
        names = " and ".join(side.vector for side in sides.all)
        raise ValueError(
            f"tokens must have the {sides.elements} elements of {names}, not {tokens.shape[-1]}"
        )
    codes = [
        trace_tokens(config, image.side(side), index, part).codes
        for side, part in zip(sides.all, sides.split(tokens), strict=True)
    ]
    return np.concatenate(codes, axis=-1)


def trace_tokens(
    config: Config, image: ParameterImage, index: int, tokens: np.ndarray
) -> HashTrace:
    """The hash of one side with every stage on the way.

    Parameters
    ----------
    image : ParameterImage
        Of this side (:meth:`ParameterImage.side`).
    tokens : int64 [..., N, D]
        Of this side.
    """
    return FAMILIES[config.hash](image, index, np.asarray(tokens, dtype=np.int64))
