# SPDX-License-Identifier: Apache-2.0
"""Small networks whose blocks share the hardware of one."""

from ecoformer.spec.config import Config
from ecoformer.spec.network.design import NetworkDesign

__all__ = ["ROLLED", "TINY_ROLLED"]


def _design(attention, **others):
    return NetworkDesign(
        attention=Config(**attention, max_tokens=64), rolled=True, **others
    )


TINY_ROLLED = _design(
    {"head_dim": 4, "value_dim": 4, "code_bits": 2, "hash": "linear", "cycles_per_token": 16},
    image_size=2, channels=1, patch=1, width=4, heads=1, depth=2, hidden=4, classes=3,
    cycles_per_token=32,
)
"""The smallest: four tokens of four elements go through two blocks."""

ROLLED = {
    # Three blocks, nine tokens, vectors element by element, kernelized hashes.
    "three": _design(
        {"head_dim": 8, "value_dim": 8, "code_bits": 4, "anchors": 4, "cycles_per_token": 64},
        image_size=6, channels=1, patch=2, width=16, heads=2, depth=3, hidden=24, classes=3,
        cycles_per_token=192,
    ),
    # As fast as its vectors allow, without multipliers, with separate queries; k of the block is no
    # power of two, and larger than that of the heads.
    "fast": _design(
        {"head_dim": 4, "value_dim": 4, "code_bits": 6, "hash": "linear", "weights": "ternary",
         "queries": "separate", "cycles_per_token": 16},
        image_size=3, channels=3, patch=1, width=8, heads=2, depth=4, hidden=16, classes=20,
        weights="ternary", cycles_per_token=99,
    ),
    # More tokens than are on their way through the block, a window that is longer than its vectors.
    "many tokens": _design(
        {"head_dim": 4, "value_dim": 4, "code_bits": 3, "hash": "hadamard",
         "cycles_per_token": 16},
        image_size=20, channels=1, patch=4, width=8, heads=2, depth=2, hidden=16, classes=5,
        cycles_per_token=64,
    ),
    # What all comparisons are with.
    "softmax": _design(
        {"head_dim": 8, "value_dim": 8, "hash": "none", "dataflow": "softmax",
         "cycles_per_token": 64},
        image_size=6, channels=1, patch=2, width=16, heads=2, depth=2, hidden=16, classes=3,
        cycles_per_token=128,
    ),
    # A single token, a width and a k that are no powers of two.
    "single": _design(
        {"head_dim": 7, "value_dim": 7, "code_bits": 3, "anchors": 5, "output_width": 12,
         "cycles_per_token": 64},
        image_size=2, channels=1, patch=2, width=7, heads=1, depth=5, hidden=9, classes=1,
        weights="pow2", cycles_per_token=375, residual_width=12,
    ),
}
