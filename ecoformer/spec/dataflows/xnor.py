# SPDX-License-Identifier: Apache-2.0
"""``dataflow = "xnor"``: quadratic in N, one pair of tokens per cycle."""

from ecoformer.spec.dataflows.coded import CodedFlow
from ecoformer.spec.units import Unit

__all__ = ["Xnor"]


class Xnor(CodedFlow):
    """Similarity of every pair by exclusive nor and popcount."""

    @property
    def units(self) -> dict[str, Unit]:
        b, e = self.config.code_bits, self.config.value_dim
        return {
            "similarities": Unit(b, 1, b),
            "weighted_sums": Unit(e, 1, e, multiplies=True),
        }

    @property
    def buffer_bits(self) -> int:
        c = self.config
        depth = 1 << (c.max_tokens - 1).bit_length()
        return c.state_banks * depth * (c.sides.code_width + self.value_bits)
