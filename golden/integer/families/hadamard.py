# SPDX-License-Identifier: Apache-2.0
"""The Hadamard hash in integers.

    h_r = +1 where Σ_d H[r mod P,d]·s[⌊r/P⌋,d]·x_d ≥ threshold[r]   (ties are +1)

H[r,d] = (-1)^|r∧d|, where |r∧d| counts the bits that r and d share; P is the smallest power of two
of at least D.
"""

import numpy as np

from ecoformer.golden.integer.families.trace import HashTrace, bits_of
from ecoformer.spec.parameters import ParameterImage

__all__ = ["trace"]


def trace(image: ParameterImage, index: int, tokens: np.ndarray) -> HashTrace:
    """Hash of tokens int64 [..., N, D] under parameter set ``index``."""
    signs, threshold = image.projection[index], image.threshold[index]
    elements, bits = signs.shape[-1], len(threshold)
    levels = (elements - 1).bit_length()
    values = np.zeros((*tokens.shape[:-1], len(signs), 1 << levels), dtype=np.int64)
    values[..., :elements] = tokens[..., None, :] * signs
    for level in range(levels):
        pairs = values.reshape(*values.shape[:-1], -1, 2, 1 << level)
        first, second = pairs[..., 0, :], pairs[..., 1, :]
        values = np.stack([first + second, first - second], axis=-2).reshape(values.shape)
    projection = values.reshape(*tokens.shape[:-1], -1)[..., :bits]
    return HashTrace(bits_of(projection, threshold), projection)
