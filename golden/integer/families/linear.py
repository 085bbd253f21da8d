# SPDX-License-Identifier: Apache-2.0
"""The linear hash in integers.

    h_r = +1 where Σ_d W[r,d]·x_d ≥ threshold[r]   (ties are +1)
"""

import numpy as np

from ecoformer.golden.integer.families.trace import HashTrace, project
from ecoformer.spec.parameters import ParameterImage

__all__ = ["trace"]


def trace(image: ParameterImage, index: int, tokens: np.ndarray) -> HashTrace:
    """Hash of tokens int64 [..., N, D] under parameter set ``index``."""
    return HashTrace(*project(image, index, tokens))
