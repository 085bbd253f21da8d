# SPDX-License-Identifier: Apache-2.0
"""Engines drawn at random, spread over every choice of the configuration and over its sizes."""

import random

from ecoformer.spec.config import Config

__all__ = ["draw"]

KINDS = (
    {"hash": "rbf"},
    {"hash": "linear", "weights": "ternary"},
    {"hash": "codes"},
    {"hash": "rbf", "queries": "separate"},
    {"hash": "linear", "weights": "int8", "dataflow": "xnor"},
    {"hash": "linear", "weights": "ternary", "mask": "causal"},
    {"hash": "rbf", "dataflow": "bucketed"},
    {"hash": "none", "dataflow": "softmax"},
    {"hash": "linear", "weights": "pow2", "queries": "separate"},
    {"hash": "codes", "queries": "cross"},
    {"hash": "rbf", "weights": "ternary", "dataflow": "xnor"},
    {"hash": "rbf", "mask": "causal"},
    {"hash": "linear", "weights": "int8"},
    {"hash": "codes", "dataflow": "bucketed"},
    {"hash": "rbf", "weights": "pow2"},
    {"hash": "linear", "weights": "ternary", "queries": "cross", "dataflow": "xnor"},
    {"hash": "linear", "weights": "pow2", "engines": 2},
    {"hash": "codes", "mask": "causal", "dataflow": "xnor"},
    {"hash": "rbf", "queries": "cross"},
    {"hash": "linear", "weights": "ternary", "dataflow": "bucketed"},
)
"""Taken in turn, so that a few engines already have every choice."""
SIZES = {
    "head_dim": (4, 6, 8, 12, 16, 32),
    "value_dim": (4, 6, 8, 12, 16, 32),
    "code_bits": (8, 8, 12, 16, 32),
    "anchors": (4, 8, 16, 25),
    "token_width": (4, 6, 8),
    "value_width": (4, 6, 8),
    "output_width": (8, 12, 16),
    "max_tokens": (16, 64, 256, 1_024),
    "state_banks": (2, 2, 4),
    "parameter_sets": (1, 4, 8, 32),
    "bus_bytes": (1, 1, 2, 2, 4, 4, 8, 16, 32),
    "tuser_width": (0, 5, 8),
    "tkeep": (False, False, True),
    "value_term": ("sum", "sum", "own"),
}
CAUSAL = {"contexts": (1, 4, 16)}
RATES = (1, 4, 8, 16, 32, 64)
MOST_LANES = 32
"""Of one kind in an engine, so that it maps in less than a minute."""
TRIES = 500
"""After so many engines whose fields do not go together, another rate is drawn."""


def draw(count: int, seed: int) -> list[Config]:
    """``count`` different engines; the same seed draws the same ones."""
    rng = random.Random(seed)
    drawn: dict[str, Config] = {}
    while len(drawn) < count:
        rate = {"cycles_per_token": rng.choice(RATES)}
        kind = KINDS[len(drawn) % len(KINDS)]
        config = next((c for c in _tries(rng, kind | rate) if c.fingerprint not in drawn), None)
        if config:
            drawn[config.fingerprint] = config
    return list(drawn.values())


def _tries(rng, fixed):
    sizes = SIZES | (CAUSAL if "mask" in fixed else {})
    for _ in range(TRIES):
        fields = {name: rng.choice(values) for name, values in sizes.items()} | fixed
        fields["output_fraction"] = fields["output_width"] // 2
        try:
            config = Config(**fields)
        except ValueError:
            continue
        if config.engines * max(fold.lanes for fold in config.folds.all.values()) <= MOST_LANES:
            yield config
