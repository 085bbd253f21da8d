# SPDX-License-Identifier: Apache-2.0
"""Keys as an engine's probe shows them, and as numbers."""

import numpy as np

from ecoformer.spec.config import Config

__all__ = ["unpack_keys"]


def unpack_keys(config: Config, traced: np.ndarray) -> np.ndarray:
    """Keys of traced tokens as numbers, int64 [N, key_elements], from their bytes uint8 [N, n]."""
    bits = np.unpackbits(traced, axis=1, bitorder="little")[:, : config.family.key_width]
    return config.family.unpack_keys(bits.astype(np.int64))
