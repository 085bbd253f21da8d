# SPDX-License-Identifier: Apache-2.0
"""Host side of the engine in numpy: float tokens and values to integers, results back to float.

A kernelized hash does not see the length of x, so every token is scaled by itself to the full
range; the tokens of a linear hash, and all values, share one scale per parameter set.
"""

import numpy as np

from ecoformer.spec.config import Config

__all__ = ["dequantise_outputs", "quantise_tokens", "quantise_values"]


def quantise_tokens(
    config: Config, x: np.ndarray, scale: float = 0.0, unit: bool = False
) -> np.ndarray:
    """Integers of float tokens ``x`` [..., D].

    Parameters
    ----------
    config : Config
    x : float array [..., D]
    scale : float
        What 1 stands for; 0: every token is scaled to its own full range.
    unit : bool
        Whether tokens are divided by their length first.
    """
    limit = _limit(config.token_width)
    if unit:
        length = np.linalg.norm(x, axis=-1, keepdims=True)
        x = x / np.maximum(length, 1e-12)
    if scale:
        return np.clip(np.rint(x / scale), -limit - 1, limit).astype(np.int64)
    largest = np.abs(x).max(axis=-1, keepdims=True)
    scale = np.divide(limit, largest, out=np.zeros_like(largest), where=largest > 0)
    return np.rint(x * scale).astype(np.int64)


def quantise_values(config: Config, v: np.ndarray, scale: float | np.ndarray) -> np.ndarray:
    """Integers of float values ``v`` [..., E] in units of ``scale``, limited to their width."""
    limit = _limit(config.value_width)
    return np.clip(np.rint(v / scale), -limit - 1, limit).astype(np.int64)


def dequantise_outputs(config: Config, outputs: np.ndarray, scale: float) -> np.ndarray:
    """Float results of integer ``outputs`` [..., E] of values in units of ``scale``."""
    return outputs * (scale / 2.0**config.output_fraction)


def _limit(width):
    return 2 ** (width - 1) - 1
