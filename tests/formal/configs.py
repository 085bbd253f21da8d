# SPDX-License-Identifier: Apache-2.0
"""Configurations that proofs are made for."""

from dataclasses import replace

import pytest

from ecoformer.presets import PRESETS as PRESET_FILES
from ecoformer.spec.config import Config

__all__ = ["CAUSAL", "CROSS", "FULL_RATE", "MARKED", "NAMES", "PRESETS", "TINY", "named"]

TINY = Config(
    head_dim=1, value_dim=1, code_bits=1, anchors=1, token_width=4, value_width=4, output_width=4,
    output_fraction=0, max_tokens=2, cycles_per_token=2, parameter_sets=1, bus_bytes=1,
)
"""The smallest engine that still has every mechanism: two beats a token, two tokens, two banks."""

FULL_RATE = replace(TINY, cycles_per_token=1, bus_bytes=2)
"""The same at a token every cycle, where the state is a systolic array."""

CAUSAL = replace(TINY, mask="causal", contexts=2, cycles_per_token=4)
"""The same with two contexts of at most two tokens."""

CROSS = replace(TINY, queries="cross", tuser_width=1)
"""The same with queries on a stream of their own."""
MARKED = replace(TINY, tkeep=True, tuser_width=0, next_set_depth=1)
"""The same with null bytes, and packets that wait for their sets."""

PRESETS = {}
for _name in PRESET_FILES:
    _config = Config.load(_name)
    if _config not in PRESETS.values():  # some differ in what they train only
        PRESETS[_name] = _config
"""Every preset's engine once, by the name of its first file."""

NAMES = ["tiny", *(pytest.param(name, marks=pytest.mark.prove) for name in PRESETS)]
"""To parametrize a test: the tiny engine always, the presets in the long run."""


def named(name):
    return TINY if name == "tiny" else PRESETS[name]
