# SPDX-License-Identifier: Apache-2.0
"""Codes as an engine's probe shows them, and as numbers."""

import numpy as np

from ecoformer.spec.config import Config

__all__ = ["unpack_codes"]


def unpack_codes(config: Config, traced: np.ndarray) -> np.ndarray:
    """Codes of traced tokens as numbers, from their bytes uint8 [N, n].

    Returns
    -------
    int64 [N, b]
        Without a hash [N, D]; with separate queries those of q and of k side by side.
    """
    inlet = config.wire.inlets[0]  # codes of another have as many bits
    bits = np.unpackbits(traced, axis=1, bitorder="little")[:, : inlet.code_width]
    return inlet.unpack_codes(bits.astype(np.int64))
