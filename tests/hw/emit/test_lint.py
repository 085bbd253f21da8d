# SPDX-License-Identifier: Apache-2.0
import os
import subprocess

import pytest

from ecoformer.hw.emit.lint import WAIVERS, waivers
from ecoformer.presets import PRESETS
from ecoformer.sim.toolchain import find_simulator
from ecoformer.spec.config import Config
from tests.emitted import emitted

SMALL = dict(
    head_dim=4, value_dim=3, code_bits=5, anchors=3, max_tokens=8, cycles_per_token=8,
    parameter_sets=2, bus_bytes=4,
)
ODD = Config(
    head_dim=7, value_dim=5, code_bits=11, anchors=3, max_tokens=37, cycles_per_token=8,
    parameter_sets=5, bus_bytes=3, token_width=5, value_width=7, output_width=11,
    output_fraction=3, offset_fraction=2, state_banks=3,
)
CONFIGS = {
    **PRESETS,
    "k=1": Config(**SMALL | {"cycles_per_token": 1, "bus_bytes": 16}),
    "one of everything": Config(
        head_dim=1, value_dim=1, code_bits=1, anchors=1, max_tokens=1, cycles_per_token=2,
        parameter_sets=1, bus_bytes=1, token_width=4, value_width=4,
    ),
    "one multiplier": Config(**SMALL | {"cycles_per_token": 64, "bus_bytes": 1, "state_banks": 8}),
    "linear": Config(**SMALL | {"hash": "linear", "weights": "ternary"}),
    "hadamard": Config(**SMALL | {"hash": "hadamard"}),
    "hadamard at once": Config(
        **SMALL | {"hash": "hadamard", "cycles_per_token": 1, "bus_bytes": 32}
    ),
    "codes": Config(**SMALL | {"hash": "codes"}),
    "powers of two": Config(**SMALL | {"weights": "pow2"}),
    "quadratic": Config(**SMALL | {"dataflow": "xnor", "max_tokens": 7}),
    "tables": Config(**SMALL | {"dataflow": "bucketed", "max_tokens": 7}),
    "tables, k=1": Config(
        **SMALL | {"dataflow": "bucketed", "cycles_per_token": 1, "bus_bytes": 16, "code_bits": 9}
    ),
    "one table": Config(**SMALL | {"dataflow": "bucketed", "code_bits": 1, "value_dim": 1}),
    "softmax": Config(**SMALL | {"hash": "none", "dataflow": "softmax", "max_tokens": 7}),
    "separate": Config(**SMALL | {"queries": "separate", "bus_bytes": 16}),
    "cross": Config(**SMALL | {"queries": "cross", "bus_bytes": 16}),
    "cross, every cycle": Config(
        **SMALL | {"queries": "cross", "hash": "linear", "cycles_per_token": 1, "bus_bytes": 32}
    ),
    "cross, tables": Config(
        **SMALL | {"queries": "cross", "hash": "codes", "dataflow": "bucketed"}
    ),
    "cross, quadratic": Config(**SMALL | {"queries": "cross", "hash": "codes", "dataflow": "xnor"}),
    "separate, codes": Config(**SMALL | {"queries": "separate", "hash": "codes"}),
    "separate, softmax": Config(
        **SMALL | {"hash": "none", "dataflow": "softmax", "max_tokens": 7, "bus_bytes": 16},
        queries="separate",
    ),
    "three engines": Config(**SMALL | {"engines": 3, "bus_bytes": 16}),
    "causal": Config(**SMALL | {"mask": "causal", "contexts": 5, "bus_bytes": 16}),
    "causal, quadratic": Config(
        **SMALL | {"mask": "causal", "dataflow": "xnor", "max_tokens": 7, "bus_bytes": 16},
        tuser_width=0,
    ),
    "tkeep, queue": Config(
        **SMALL | {"bus_bytes": 3, "tuser_width": 0}, tkeep=True, next_set_depth=3
    ),
    "causal, tkeep, error low": Config(
        **SMALL | {"mask": "causal", "bus_bytes": 16}, tkeep=True, error_low=True
    ),
    "odd": ODD,
}


def lint(folder, text, control):
    """What Verilator says; empty if nothing."""
    (folder / "engine.v").write_text(text)
    (folder / "engine.vlt").write_text(control)
    reply = subprocess.run(
        ["verilator", "--lint-only", "-Wall", "engine.vlt", "engine.v"], cwd=folder,
        env={**os.environ, **find_simulator("verilator", folder).env}, capture_output=True,
        text=True,
    )
    assert bool(reply.returncode) == bool(reply.stderr)
    return reply.stderr


QUICK = ("k=1", "one of everything", "linear", "softmax")
LARGE = ("k4", "full-rate", "k16", "xnor", "fashion-adders", "minilm-engine")
"""Presets whose modules are those of the small engines."""


@pytest.mark.parametrize("config", [
    pytest.param(
        config, id=name,
        marks=pytest.mark.full if name in LARGE else () if name in QUICK else pytest.mark.slow,
    )
    for name, config in CONFIGS.items()
])
def test_nothing_is_left_to_say(config, tmp_path):
    config = Config.load(config) if not isinstance(config, Config) else config
    assert lint(tmp_path, emitted(config, "engine"), waivers("engine")) == ""


@pytest.fixture(scope="module")
def odd_text():
    return emitted(ODD, "engine")


@pytest.fixture(scope="module")
def codes_text():
    return emitted(CONFIGS["codes"], "engine")


@pytest.mark.slow
@pytest.mark.parametrize("waiver", WAIVERS, ids=lambda w: f"{w.rule} {w.match[:40]}")
def test_every_waiver_is_needed(waiver, odd_text, codes_text, tmp_path):
    assert any(
        f"%Warning-{waiver.rule}: " in lint(tmp_path, text, waivers("engine", without=waiver))
        for text in (odd_text, codes_text)
    )


@pytest.mark.parametrize(
    "old, new, rule",
    [
        ("input aclk;", "input aclk;\n  wire unread = aclk;", "UNUSEDSIGNAL"),
        ("input aclk;", "input aclk;\n  wire [1:0] narrow = 3'd1 + s_axil_wstrb;", "WIDTHTRUNC"),
        ("input aclk;", "input aclk;\n  wire [1:0] open; assign irq = open[0];", "UNDRIVEN"),
    ],
)
def test_a_mistake_is_not_hidden(old, new, rule, odd_text, tmp_path):
    assert f"-{rule}: " in lint(tmp_path, odd_text.replace(old, new, 1), waivers("engine"))
