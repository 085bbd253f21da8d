# SPDX-License-Identifier: Apache-2.0
"""No hash on the chip: the tokens are the codes (``codes``), or are compared raw (``none``)."""

import numpy as np

from ecoformer.golden.integer.families.trace import HashTrace
from ecoformer.spec.parameters import ParameterImage

__all__ = ["trace"]


def trace(image: ParameterImage, index: int, tokens: np.ndarray) -> HashTrace:
    """The tokens as they are."""
    return HashTrace(tokens)
