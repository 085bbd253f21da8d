# SPDX-License-Identifier: Apache-2.0
"""The kernelized hash in integers (paper section 3.2; Gaussian kernel of KSH).

    p_j = x·a_j                                   dot products with the scaled anchors
    1/‖x‖ = ρ[t] / 2^(10 + e),  t = ⌊1024·‖x‖²/4^e⌋,  4^(e-1) ≤ ‖x‖² < 4^e
    u_j = bias_j - ⌊⌊2^5·p_j / 2^e⌋·ρ[t] / 2^shift⌋, limited to 0…2047
    κ_j = ⌊511·exp(-u_j/256) + 1/2⌋                by table
    h_r = +1 where Σ_j A[r,j]·κ_j ≥ threshold[r]   (ties are +1)

ρ[t] = 2^10/√((t + 1/2)/1024), rounded: the middle of the cell (`spec.tables`).
"""

import numpy as np

from ecoformer.golden.integer.families.trace import HashTrace, project
from ecoformer.golden.integer.tables import EXPONENTIAL, ROOT
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.tables import DOT_FRACTION, KERNEL_INDEX_BITS, ROOT_INDEX_BITS

__all__ = ["trace", "bit_length"]


def trace(image: ParameterImage, index: int, tokens: np.ndarray) -> HashTrace:
    """Hash of tokens int64 [..., N, D] under parameter set ``index``."""
    norm = (tokens * tokens).sum(axis=-1)
    exponent = (bit_length(norm) + 1) >> 1
    root = ROOT[(norm << ROOT_INDEX_BITS) >> (2 * exponent)]

    dots = tokens @ image.anchors[index].T
    scaled = (dots << DOT_FRACTION) >> exponent[..., None]
    cosine = (scaled * root[..., None]) >> image.shift[index]
    argument = np.clip(image.bias[index] - cosine, 0, (1 << KERNEL_INDEX_BITS) - 1)
    kernel = EXPONENTIAL[argument]

    return HashTrace(*project(image, index, kernel), kernel, dots, norm, cosine)


def bit_length(numbers: np.ndarray) -> np.ndarray:
    """Bits of each non-negative int64 below 2^32; 0 has none."""
    length = np.zeros_like(numbers)
    for step in (16, 8, 4, 2, 1):
        high = (numbers >> step) > 0
        length += high * step
        numbers = np.where(high, numbers >> step, numbers)
    return length + numbers
