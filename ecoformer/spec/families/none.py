# SPDX-License-Identifier: Apache-2.0
"""``hash = "none"``: the tokens are compared themselves, for softmax attention."""

import numpy as np

from ecoformer.spec.families.base import Family

__all__ = ["NoHash"]


class NoHash(Family):
    """No hash: the keys are raw tokens, and nothing depends on ``code_bits``."""

    gives_codes = False

    @property
    def key_width(self) -> int:
        return self.config.head_dim * self.config.token_width

    def unpack_keys(self, bits: np.ndarray) -> np.ndarray:
        c = self.config
        powers = 1 << np.arange(c.token_width)
        powers[-1] *= -1  # two's complement
        return bits.reshape(len(bits), c.head_dim, c.token_width) @ powers
