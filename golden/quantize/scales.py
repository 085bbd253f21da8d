# SPDX-License-Identifier: Apache-2.0
"""Scales of integers: from the range of what was seen, or clipped where that costs less."""

from collections.abc import Callable

import numpy as np

from ecoformer.spec.arithmetic import signed_range

__all__ = ["clipped_scale", "full_scale", "to_integers"]

SHARES = np.linspace(1, 0.3, 29)
"""Clips that are tried, as shares of the largest magnitude."""
LEAST = 1e-12
"""Stands for the magnitude of what is always 0."""


def to_integers(values: np.ndarray, scale: float | np.ndarray, width: int) -> np.ndarray:
    """``values`` in units of ``scale``, rounded and limited to ``width`` signed bits: int64."""
    return np.clip(np.rint(values / scale), *signed_range(width)).astype(np.int64)


def full_scale(values: np.ndarray, width: int) -> np.ndarray:
    """Scale of each column of ``values`` [n, columns] by which its largest fills ``width`` bits."""
    return np.maximum(np.abs(values).max(axis=0), LEAST) / signed_range(width)[1]


def clipped_scale(
    values: np.ndarray,
    width: int,
    function: Callable[[np.ndarray], np.ndarray] = lambda values: values,
) -> np.ndarray:
    """Scale of each column of ``values`` [n, columns] with the least squared error.

    Larger magnitudes than fit are clipped where all others gain more from a smaller step.

    Parameters
    ----------
    width : int
        Signed bits of an integer.
    function : callable
        Whose result the error is measured on.
    """
    whole, wanted = full_scale(values, width), function(values)
    scales = SHARES[:, None] * whole
    errors = [
        np.square(function(to_integers(values, scale, width) * scale) - wanted).mean(axis=0)
        for scale in scales
    ]
    return scales[np.argmin(errors, axis=0), np.arange(values.shape[1])]
