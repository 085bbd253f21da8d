# SPDX-License-Identifier: Apache-2.0
"""Small networks whose blocks share the hardware of one: those of `designs`, with more blocks."""

from dataclasses import replace

from ecoformer.spec.config import Config
from ecoformer.spec.network.design import NetworkDesign
from tests.sim.network.designs import DESIGNS, TINY

__all__ = ["ROLLED", "TINY_ROLLED"]


def _rolled(design, depth, cycles_per_token):
    return replace(design, rolled=True, depth=depth, cycles_per_token=cycles_per_token)


TINY_ROLLED = _rolled(TINY, 2, 32)
"""The smallest: four tokens of four elements go through two blocks."""

ROLLED = {
    "three": _rolled(DESIGNS["serial"], 3, 192),
    # k of the block is no power of two, and larger than that of the heads.
    "fast": _rolled(DESIGNS["fast"], 4, 99),
    "softmax": _rolled(DESIGNS["softmax"], 2, 128),
    "single": _rolled(DESIGNS["single"], 5, 375),
    # More tokens than are on their way through the block, a window that is longer than its vectors.
    "many tokens": NetworkDesign(
        image_size=20, channels=1, patch=4, width=8, heads=2, depth=2, hidden=16, classes=5,
        cycles_per_token=64, rolled=True, attention=Config(
            head_dim=4, value_dim=4, code_bits=3, hash="hadamard", cycles_per_token=16,
            max_tokens=64,
        ),
    ),
}
