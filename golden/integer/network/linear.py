# SPDX-License-Identifier: Apache-2.0
"""Linear layers in integers: y = ⌊(W·x + bias) / 2^shift⌋, saturated."""

import numpy as np

from ecoformer.spec.arithmetic import signed_range
from ecoformer.spec.network.layers import LinearShape

__all__ = ["linear", "requantise", "saturate"]


def linear(
    shape: LinearShape,
    x: np.ndarray,
    weights: np.ndarray,
    bias: np.ndarray,
    shift: np.ndarray | None = None,
) -> np.ndarray:
    """Outputs int64 [..., outputs] of ``x`` int64 [..., inputs].

    Parameters
    ----------
    weights : int64 [inputs, outputs]
    bias : int64 [outputs]
        Half of 2^shift is part of it.
    shift : int64 [outputs] or None
        None where the sum is the output.
    """
    sums = x @ weights + bias
    return sums if shift is None else requantise(sums, shift, shape.output_width)


def requantise(sums: np.ndarray, shift: np.ndarray, width: int) -> np.ndarray:
    """⌊sums / 2^shift⌋ in ``width`` signed bits; ``shift`` [outputs] is that of the last axis."""
    return saturate(sums >> shift, width)


def saturate(numbers: np.ndarray, width: int) -> np.ndarray:
    """``numbers`` limited to what ``width`` signed bits hold."""
    return np.clip(numbers, *signed_range(width))
