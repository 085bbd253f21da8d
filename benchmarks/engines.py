# SPDX-License-Identifier: Apache-2.0
"""The engines measured beside the presets, by name.

`tests.digests` watches these beside the presets, so a section knows whether the Verilog it was
measured on is still what the generator emits, without emitting it again.
"""

from pathlib import Path

from ecoformer.spec.config import Config

__all__ = ["ADDERS", "FAULTY", "FULL_RATE", "LONG", "LONGEST", "MEASURED", "MIXED_LENGTHS",
           "SEVERAL", "SIDE_BY_SIDE", "WINDOW"]

ADDERS = Config.load(Path(__file__).with_name("adders.toml"))
"""Full rate at its widest: no multiplier in the hash, a token every cycle, 8-bit results."""

LONG, WINDOW = 1024, 64
"""Most tokens of the sequences whose throughput is measured."""


def _small(longest, **rate):
    """The schedule does not depend on the sizes, so they are small; but every cycle of a slot adds
    to the state.
    """
    return Config(
        head_dim=2, value_dim=4, code_bits=4, anchors=2, max_tokens=longest, parameter_sets=1,
        bus_bytes=8, **rate,
    )


MIXED_LENGTHS = {
    (k, banks): _small(LONG, cycles_per_token=k, state_banks=banks)
    for k in (1, 16)
    for banks in (2, 4, 8)
}
"""One engine by cycles per token and state banks."""
SEVERAL = {
    (engines, banks): _small(WINDOW, cycles_per_token=16, state_banks=banks, engines=engines)
    for banks in (2, 4)
    for engines in (1, 2, 4)
}
"""Several engines behind one port, by their number and state banks."""

LONGEST = 3136
_SHAPE = dict(
    head_dim=32, value_dim=32, code_bits=16, anchors=25, parameter_sets=1, bus_bytes=8,
    max_tokens=LONGEST, cycles_per_token=16,
)
SIDE_BY_SIDE = {
    "EcoFormer": Config(**_SHAPE),
    "softmax": Config(**_SHAPE, hash="none", dataflow="softmax"),
}
"""The same attention by both dataflows."""
FULL_RATE = Config(
    head_dim=64, value_dim=64, code_bits=16, anchors=25, parameter_sets=1, bus_bytes=128,
    max_tokens=1024, cycles_per_token=1,
)
"""Emitting it takes minutes; the preset ``full-rate``, with its core, is watched instead."""

_FAULTY = dict(
    head_dim=4, value_dim=3, code_bits=5, anchors=3, max_tokens=12, cycles_per_token=4,
    parameter_sets=3, bus_bytes=2,
)
FAULTY = {
    name: Config(**_FAULTY | changes)
    for name, changes in {
        "narrow bus": {},
        "a token every cycle, wide bus": {"cycles_per_token": 1, "bus_bytes": 16},
        "a beat per byte": {"cycles_per_token": 16, "bus_bytes": 1},
        "no tuser": {"tuser_width": 0, "bus_bytes": 3},
        "no tuser, a token every cycle": {"tuser_width": 0, "cycles_per_token": 1, "bus_bytes": 8},
        "tuser of 16 bits": {"tuser_width": 16, "state_banks": 4},
        "one token, one set": {"max_tokens": 1, "parameter_sets": 1},
        "xnor": {"dataflow": "xnor", "cycles_per_token": 8},
        "xnor, no tuser": {"dataflow": "xnor", "tuser_width": 0},
        "tables": {"dataflow": "bucketed"},
        "tables, a token every cycle": {
            "dataflow": "bucketed", "cycles_per_token": 1, "bus_bytes": 16
        },
        "softmax": {"hash": "none", "dataflow": "softmax", "cycles_per_token": 8},
        "two engines": {"engines": 2, "cycles_per_token": 8},
        "three engines, xnor, no tuser": {
            "engines": 3, "cycles_per_token": 16, "dataflow": "xnor", "tuser_width": 0
        },
        "one multiplier": {"cycles_per_token": 64, "output_width": 24},
        "contexts": {"mask": "causal", "contexts": 5, "cycles_per_token": 8},
        "one context, no tuser": {"mask": "causal", "tuser_width": 0, "bus_bytes": 8},
        "contexts, xnor": {
            "mask": "causal", "contexts": 3, "cycles_per_token": 8, "dataflow": "xnor"
        },
    }.items()
}
"""Small engines of every kind, for random fault scripts."""

MEASURED = {
    "adders": ADDERS,
    **{f"side by side, {name}": config for name, config in SIDE_BY_SIDE.items()},
    **{f"mixed lengths, k = {k}, {n} banks": c for (k, n), c in MIXED_LENGTHS.items()},
    **{f"engines = {m}, {n} banks": c for (m, n), c in SEVERAL.items()},
    **{f"fault scripts, {name}": config for name, config in FAULTY.items()},
}
"""Those that are watched, by the name of their digest."""
