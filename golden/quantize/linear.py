# SPDX-License-Identifier: Apache-2.0
"""Linear layers in integers: weights of some format, and for every output a bias and a shift.

There is no multiplier behind a sum. With inputs in units of s_x and an output in units of σ,
weights in units of σ/(2^shift·s_x) make the sum an output times 2^shift; at most one bit of the
weights' range is lost to the power of two.
"""

import numpy as np
import torch

from ecoformer.golden.weights import round_weights
from ecoformer.spec.network.layers import MAX_SHIFT, LinearShape

__all__ = ["quantise_linear", "quantise_scores"]

TRIES = 4
"""Shifts that are tried: a coarse format may fit better where its largest weight saturates."""


def quantise_linear(
    shape: LinearShape,
    matrix: np.ndarray,
    bias: np.ndarray,
    scale: float | np.ndarray,
    zero: int = 0,
) -> dict[str, np.ndarray]:
    """Weights, bias and shift of y = matrixᵀ·(x + zero) + bias, with y in units of ``scale``.

    Parameters
    ----------
    shape : LinearShape
    matrix : float64 [inputs, outputs]
        From integer inputs to float outputs.
    bias : float64 [outputs]
    scale : float or float64 [outputs]
    zero : int
        What is added to every integer input.

    Returns
    -------
    dict of int64 array
        The weights admitted by the format that are nearest, with the shift of least squared error
        for every output. A bias that no shift makes fit is left to the check of the image.
    """
    matrix, bias = matrix / scale, bias / scale
    shift = _largest_shifts(shape.weights.values[-1], np.abs(matrix).max(axis=0))
    constant = np.abs(bias) + abs(zero) * np.abs(matrix).sum(axis=0) + 0.5
    fits = np.floor(np.log2(shape.max_bias / constant)).astype(np.int64)
    tries = [np.clip(np.minimum(shift + i, fits), 0, MAX_SHIFT) for i in range(TRIES)]
    rounded = [_nearest(shape, matrix * 2.0**t) for t in tries]
    errors = [np.square(w / 2.0**t - matrix).sum(axis=0) for w, t in zip(rounded, tries)]
    best, every = np.argmin(errors, axis=0), np.arange(shape.outputs)
    shift = np.stack(tries)[best, every]
    weights = np.stack(rounded)[best, :, every].T
    exact = np.rint(bias * 2.0**shift).astype(np.int64) + zero * weights.sum(axis=0)
    return {"weights": weights, "bias": exact + ((1 << shift) >> 1), "shift": shift}


def quantise_scores(
    shape: LinearShape, matrix: np.ndarray, bias: np.ndarray
) -> tuple[dict[str, np.ndarray], float]:
    """Weights and bias of a layer without a shift, and the one scale of all of its outputs."""
    scale = float(np.abs(matrix).max()) / shape.weights.values[-1] or 1.0
    weights = _nearest(shape, matrix / scale)
    return {"weights": weights, "bias": np.rint(bias / scale).astype(np.int64)}, scale


def _largest_shifts(limit, sizes):
    """The largest shifts with which weights as large as ``sizes`` reach ``limit`` and no more."""
    shifts = np.full(sizes.shape, MAX_SHIFT)
    some = sizes > 0
    shifts[some] = np.minimum(np.floor(np.log2(limit / sizes[some])), MAX_SHIFT)
    return shifts


def _nearest(shape, values):
    rounded = round_weights(torch.from_numpy(np.ascontiguousarray(values)), shape.format.value)
    return rounded.numpy().astype(np.int64)
