# SPDX-License-Identifier: Apache-2.0
"""Small networks drawn at random, spread over every choice of a design and over its sizes."""

import random

from ecoformer.spec.config import Config
from ecoformer.spec.network.decoder import DecoderDesign
from ecoformer.spec.network.design import NetworkDesign
from ecoformer.spec.network.load import Design

__all__ = ["KINDS", "draw"]

KINDS = (
    (NetworkDesign, {"weights": "int8"}, {"hash": "linear", "weights": "ternary"}),
    (DecoderDesign, {"weights": "ternary"}, {"hash": "linear", "weights": "ternary"}),
    (NetworkDesign, {"weights": "ternary"}, {"hash": "rbf", "queries": "separate"}),
    (DecoderDesign, {"weights": "int8", "loadable": True}, {"hash": "rbf"}),
    (NetworkDesign, {"weights": "pow2", "loadable": True}, {"hash": "linear", "weights": "int8"}),
    (DecoderDesign, {"weights": "pow2"}, {"hash": "linear", "queries": "separate"}),
    (NetworkDesign, {"weights": "ternary"}, {"hash": "none", "dataflow": "softmax"}),
    (DecoderDesign, {"weights": "int8", "answer": "best"}, {"hash": "linear", "weights": "pow2"}),
)
"""Kind of network, choices of it and of its attention, taken in turn, so that a few networks
already have every choice."""
SIZES: dict[type, dict[str, tuple]] = {
    NetworkDesign: {
        "image_size": (4, 6, 8), "channels": (1, 1, 3), "patch": (1, 2), "classes": (2, 5, 10, 20),
        "cycles_per_token": (24, 32, 48, 64, 100, 128, 256),
    },
    DecoderDesign: {
        "vocabulary": (8, 16, 27, 50), "positions": (4, 8, 16),
        "cycles_per_token": (16, 20, 32, 48, 64, 128),
    },
}
SHARED = {"hidden": (8, 16, 24, 48, 64), "residual_width": (10, 13, 16, 18)}
ENGINE = {"code_bits": (4, 8, 12), "anchors": (4, 8), "cycles_per_token": (4, 8, 16)}
SHAPES = ((1, 8), (1, 12), (1, 16), (1, 32), (2, 4), (2, 8))
"""Heads, and elements of each."""
MOST_LANES = 120
"""Of all linear layers, so that a network maps in a minute."""


def draw(count: int, seed: int) -> list[Design]:
    """``count`` different networks of one block; the same seed draws the same ones."""
    rng = random.Random(seed)
    drawn: dict[str, Design] = {}
    while len(drawn) < count:
        made = _try(rng, *KINDS[len(drawn) % len(KINDS)])
        if made is not None:
            drawn.setdefault(made.fingerprint, made)
    return list(drawn.values())


def _try(rng, kind, choices, attention):
    """A network of this kind, or None if the sizes that were drawn do not go together."""
    def chosen(sizes):
        return {name: rng.choice(values) for name, values in sizes.items()}

    heads, dim = rng.choice(SHAPES)
    own = chosen(ENGINE) | attention | {"head_dim": dim, "value_dim": dim, "max_tokens": 64}
    if kind is DecoderDesign:
        own |= {"mask": "causal", "contexts": rng.choice((1, 4, 16))}
    fields = chosen(SHARED | SIZES[kind]) | choices
    try:
        made = kind(heads=heads, width=heads * dim, depth=1, attention=Config(**own), **fields)
    except ValueError:
        return None
    lanes = sum(made.fold(name).lanes for name in made.linears)
    return made if lanes <= MOST_LANES else None
