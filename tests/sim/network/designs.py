# SPDX-License-Identifier: Apache-2.0
"""Small networks that differ in everything a network may differ in."""

from ecoformer.spec.config import Config
from ecoformer.spec.network.design import NetworkDesign

__all__ = ["DESIGNS", "TINY"]


def _design(attention, **others):
    return NetworkDesign(attention=Config(**attention, max_tokens=64), **others)


DESIGNS = {
    # One lane everywhere: vectors go through the attention element by element.
    "serial": _design(
        {"head_dim": 8, "value_dim": 8, "code_bits": 4, "anchors": 4, "cycles_per_token": 64},
        image_size=6, channels=1, patch=2, width=16, heads=2, depth=2, hidden=24, classes=3,
        cycles_per_token=64,
    ),
    # As fast as its vectors allow, without multipliers, colours, and patches without overlap.
    "fast": _design(
        {"head_dim": 4, "value_dim": 4, "code_bits": 6, "hash": "linear", "weights": "ternary",
         "queries": "separate", "cycles_per_token": 16},
        image_size=3, channels=3, patch=1, width=8, heads=2, depth=1, hidden=16, classes=20,
        weights="ternary", cycles_per_token=24,
    ),
    # The longest vectors, those before and behind attention among them, take all of k.
    "tight": _design(
        {"head_dim": 8, "value_dim": 8, "code_bits": 4, "hash": "linear", "weights": "ternary",
         "cycles_per_token": 16},
        image_size=4, channels=1, patch=1, width=8, heads=1, depth=1, hidden=16, classes=3,
        weights="ternary", cycles_per_token=16,
    ),
    # What all comparisons are with.
    "softmax": _design(
        {"head_dim": 8, "value_dim": 8, "hash": "none", "dataflow": "softmax",
         "cycles_per_token": 64},
        image_size=6, channels=1, patch=2, width=16, heads=2, depth=1, hidden=16, classes=3,
        cycles_per_token=64,
    ),
    # A single token, a width and a k that are no powers of two.
    "single": _design(
        {"head_dim": 7, "value_dim": 7, "code_bits": 3, "anchors": 5, "output_width": 12,
         "cycles_per_token": 64},
        image_size=2, channels=1, patch=2, width=7, heads=1, depth=1, hidden=9, classes=1,
        weights="pow2", cycles_per_token=75, residual_width=12,
    ),
}

TINY = _design(
    {"head_dim": 4, "value_dim": 4, "code_bits": 2, "hash": "linear", "cycles_per_token": 16},
    image_size=2, channels=1, patch=1, width=4, heads=1, depth=1, hidden=4, classes=3,
    cycles_per_token=16,
)
"""The smallest: four tokens of four elements."""
