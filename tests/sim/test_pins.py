# SPDX-License-Identifier: Apache-2.0
"""Optional pins and the queue of sets: verified by every phase, and what breaks is seen."""

import re

import numpy as np
import pytest

from ecoformer.sim.plan import make_plan
from ecoformer.sim.stimulus import random_image, random_workload
from ecoformer.sim.verification import verify
from ecoformer.spec.config import Config
from tests.emitted import emitted

SMALL = dict(
    head_dim=6, value_dim=3, code_bits=7, anchors=3, max_tokens=4, cycles_per_token=8,
    parameter_sets=3, bus_bytes=4,
)
ENGINES = {
    "tkeep, error low": Config(**SMALL, tkeep=True, error_low=True),
    "contexts, tkeep": Config(
        **SMALL | {"mask": "causal", "contexts": 2, "bus_bytes": 7}, tkeep=True, error_low=True
    ),
    "queue": Config(**SMALL, tuser_width=0, next_set_depth=3),
    "contexts, queue": Config(
        **SMALL | {"mask": "causal", "contexts": 2}, tuser_width=0, next_set_depth=1
    ),
}
OFTEN = ("tkeep, error low", "queue")
CYCLES = 200_000


def played(config, text, builds, simulator="compiled", **plan):
    rng = np.random.default_rng(7)
    image, workload = random_image(config, rng), random_workload(config, rng, 4)
    plan = make_plan(config, image, workload, simulator=simulator, cycles=CYCLES, **plan)
    return verify(config, text, plan, simulator=simulator, build_dir=builds)


@pytest.mark.parametrize("config", [
    pytest.param(config, id=name, marks=() if name in OFTEN else pytest.mark.full)
    for name, config in ENGINES.items()
])
def test_every_phase_agrees(config, builds):
    found = played(config, emitted(config), builds)
    assert found.ok, "\n".join(map(str, found.mismatches[:10]))
    happened = sum((phase.happened for phase in found.phases), start=found.phases[0].happened)
    assert ("KEEP_MISMATCH" in happened) == config.tkeep
    scenes = {phase.name: phase.scenes for phase in found.phases}
    assert ("sets" in scenes) == (config.next_set_depth > 0)
    assert not any(phase.left_out for phase in found.phases if phase.name in ("faults", "sets"))


@pytest.mark.icarus
@pytest.mark.parametrize("name, phases", [("tkeep, error low", ["faults"]), ("queue", ["sets"])])
def test_scenes_agree_in_a_simulator(name, phases, builds):
    config = ENGINES[name]
    plan = {"phases": ["workload", *phases], "rounds": 0}
    found = played(config, emitted(config), builds, "icarus", **plan)
    assert found.ok, "\n".join(map(str, found.mismatches[:10]))


@pytest.mark.full
@pytest.mark.parametrize(
    "name, what, old, new, where",
    [
        ("tkeep, error low", "null bytes pass", r"assign mismatch = .*;", "assign mismatch = 1'h0;",
         "KEEP_MISMATCH"),
        ("tkeep, error low", "padding is kept", r"assign m_axis_tkeep = .*;",
         "assign m_axis_tkeep = 4'hf;", "tkeep"),
        ("queue", "refused sets leave no trace", r"assign set_refused = .*;",
         "assign set_refused = 1'h0;", "SET_REFUSED"),
        ("queue", "no packet waits", r"in_packet \| selected", "in_packet | 1'h1", ""),
    ],
)
def test_what_breaks_is_seen(name, what, old, new, where, builds):
    text, count = re.subn(old, new, emitted(ENGINES[name]))
    assert count, f"{what}: the Verilog has no such line"
    found = played(ENGINES[name], text, builds, phases=["workload", "faults", "sets"])
    assert not found.ok
    assert any(where in mismatch.what for mismatch in found.mismatches)
