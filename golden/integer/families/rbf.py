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
from ecoformer.golden.integer.roots import reciprocal_root
from ecoformer.golden.integer.tables import EXPONENTIAL
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.tables import DOT_FRACTION, KERNEL_INDEX_BITS

__all__ = ["trace"]


def trace(image: ParameterImage, index: int, tokens: np.ndarray) -> HashTrace:
    """Hash of tokens int64 [..., N, D] under parameter set ``index``."""
    norm = (tokens * tokens).sum(axis=-1)
    exponent, root = reciprocal_root(norm)

    dots = tokens @ image.anchors[index].T
    scaled = (dots << DOT_FRACTION) >> exponent[..., None]
    cosine = (scaled * root[..., None]) >> image.shift[index]
    argument = np.clip(image.bias[index] - cosine, 0, (1 << KERNEL_INDEX_BITS) - 1)
    kernel = EXPONENTIAL[argument]

    return HashTrace(*project(image, index, kernel), kernel, dots, norm, cosine)
