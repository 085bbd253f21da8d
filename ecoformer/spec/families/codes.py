# SPDX-License-Identifier: Apache-2.0
"""``hash = "codes"``: the host hashes and sends the codes."""

import numpy as np

from ecoformer.spec.families.base import Family

__all__ = ["HostCodes"]


class HostCodes(Family):
    """Codes from the host, one bit per element, eight to a byte."""

    @property
    def key_elements(self) -> int:
        return self.config.code_bits

    @property
    def element_width(self) -> int:
        return 1

    @property
    def element_pitch(self) -> int:
        return 1

    @property
    def key_bytes(self) -> int:
        return -(-self.config.code_bits // 8)

    @property
    def token_range(self) -> tuple[int, int]:
        return -1, 1

    def check_tokens(self, tokens: np.ndarray) -> None:
        if not tokens.all():
            raise ValueError("tokens must be the codes -1 and 1, not 0")

    def tokens_from(self, numbers: np.ndarray) -> np.ndarray:
        return np.where(numbers < 0, -1, 1)

    def pack(self, tokens: np.ndarray) -> np.ndarray:
        return np.packbits(np.asarray(tokens) > 0, axis=1, bitorder="little")
