# SPDX-License-Identifier: Apache-2.0
"""Layer norm in integers: :class:`ecoformer.spec.network.layers.NormShape` has the formulas."""

import numpy as np

from ecoformer.golden.integer.network.linear import saturate
from ecoformer.golden.integer.roots import reciprocal_root
from ecoformer.spec.network.layers import NormShape
from ecoformer.spec.tables import ROOT_FRACTION

__all__ = ["norm"]


def norm(shape: NormShape, x: np.ndarray, epsilon: int | np.ndarray) -> np.ndarray:
    """Normalised tokens int64 [..., width] of ``x`` int64 [..., width]; ``epsilon`` ≥ 1."""
    total = x.sum(axis=-1, keepdims=True)
    half = (1 << shape.mean_shift) >> 1  # 0 where nothing is cut off
    difference = x - ((shape.reciprocal * total + half) >> shape.mean_shift)
    squares = (difference * difference).sum(axis=-1, keepdims=True) + epsilon
    exponent, root = reciprocal_root(squares)
    shift = exponent + ROOT_FRACTION - shape.fraction
    return saturate((difference * root + (1 << (shift - 1))) >> shift, shape.output_width)
