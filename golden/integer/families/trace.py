# SPDX-License-Identifier: Apache-2.0
"""What every family returns: the codes, and the stages that they came through."""

from dataclasses import dataclass

import numpy as np

from ecoformer.spec.parameters import ParameterImage

__all__ = ["HashTrace", "bits_of", "project"]


@dataclass(frozen=True)
class HashTrace:
    """Every stage of the hash, to locate a difference; None where a family has no such stage.

    Parameters
    ----------
    codes : int64 [..., N, b]
        ±1; or the tokens themselves, where there is no hash.
    projection : int64 [..., N, b]
        Σ_j A[r,j]·κ_j, Σ_d W[r,d]·x_d or Σ_d ±s[d]·x_d.
    kernel : int64 [..., N, m]
        κ_j, 0…511.
    dots : int64 [..., N, m]
        x·a_j.
    norm : int64 [..., N]
        ‖x‖².
    cosine : int64 [..., N, m]
        What the bias is added to the negative of.
    """

    codes: np.ndarray
    projection: np.ndarray | None = None
    kernel: np.ndarray | None = None
    dots: np.ndarray | None = None
    norm: np.ndarray | None = None
    cosine: np.ndarray | None = None


def project(
    image: ParameterImage, index: int, vector: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Codes ±1 [..., N, b] of vectors, +1 at ties, and their projections [..., N, b]."""
    projection = vector @ image.projection[index].T
    return bits_of(projection, image.threshold[index]), projection


def bits_of(projection: np.ndarray, threshold: np.ndarray) -> np.ndarray:
    """Codes ±1 [..., N, b] of projections [..., N, b]: +1 at ties."""
    return np.where(projection >= threshold, 1, -1)
