# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest

from ecoformer.hw.emit.manifest import manifest
from ecoformer.sim.simulate import simulate
from ecoformer.sim.stimulus import random_image, random_workload
from ecoformer.sim.verify import compare
from ecoformer.spec.config import Config
from tests.emitted import emitted
from tests.sim.test_engine import SMALL

CONFIGS = {
    f"{config.dataflow}, k={config.cycles_per_token}, D={config.head_dim}": config
    for config in (
        Config(head_dim=8, value_dim=8, code_bits=8, anchors=6, max_tokens=12,
               cycles_per_token=1, parameter_sets=1, bus_bytes=16),
        Config(head_dim=5, value_dim=3, code_bits=7, anchors=3, max_tokens=13,
               cycles_per_token=2, parameter_sets=2, bus_bytes=8),
        Config(head_dim=3, value_dim=5, code_bits=3, anchors=5, max_tokens=9,
               cycles_per_token=16, parameter_sets=1, bus_bytes=1),
        Config(head_dim=4, value_dim=4, code_bits=6, anchors=4, max_tokens=7,
               cycles_per_token=64, parameter_sets=1, bus_bytes=4),
        *(
            Config(head_dim=2, value_dim=3, code_bits=7, anchors=3, max_tokens=13, bus_bytes=8,
                   cycles_per_token=k, parameter_sets=1, dataflow="bucketed")
            for k in (1, 2, 4, 1_024)
        ),
    )
}
MIDDLE = (2, 4, 64)
"""Cycles per token between those at which an engine has another shape."""


@pytest.mark.parametrize("config", [
    pytest.param(
        config, id=name, marks=pytest.mark.full if config.cycles_per_token in MIDDLE else ()
    )
    for name, config in CONFIGS.items()
])
def test_an_isolated_sequence_takes_the_cycles_of_the_formula(config, builds):
    k, overhead = config.cycles_per_token, manifest(config)["cycles"]["isolated_overhead"]
    rng = np.random.default_rng(0)
    image = random_image(config, rng)
    for length in (1, 2, config.max_tokens):
        workload = random_workload(config, rng, 1, lengths=length)
        run = simulate(
            config, emitted(config), image, workload, simulator="compiled", build_dir=builds
        )
        assert compare(config, image, workload, run).ok
        assert run.busy_cycles == 2 * length * k + overhead
        if config.dataflow == "accumulate":
            assert run.busy_cycles <= (2 * length + 8) * k + 150


@pytest.mark.parametrize("head_dim", [1, 32, 128])
@pytest.mark.parametrize("k", [1, 4, 16, 256, 1024])
def test_the_formula_keeps_the_bound_over_the_whole_range(head_dim, k):
    sizes = dict(head_dim=head_dim, value_dim=head_dim, code_bits=16, anchors=25)
    if head_dim == 128 and k == 1:
        sizes.update(code_bits=8, anchors=16)
    config = Config(**sizes, cycles_per_token=k, bus_bytes=512, output_width=24)
    assert manifest(config)["cycles"]["isolated_overhead"] <= 8 * k + 150


@pytest.mark.parametrize("name", ["primes", "no tuser"])
def test_changing_the_set_costs_the_published_cycles(builds, name):
    """Against the same packets of one set, back to back on the compiled engine."""
    config, rng = SMALL[name], np.random.default_rng(3)
    image = random_image(config, rng)
    alternating = random_workload(config, rng, 8, lengths=4)
    alternating.sets[:] = np.arange(8) % config.parameter_sets
    same = replace(alternating, sets=np.zeros(8, dtype=np.int64))
    ends = []
    for workload in (alternating, same):
        run = simulate(
            config, emitted(config, name="ecoformer_engine"), image, workload, build_dir=builds,
            simulator="compiled",
        )
        assert compare(config, image, workload, run).ok
        ends.append(run.stamps["last_out"])
    late = ends[0] - ends[1]
    assert late.tolist() == (manifest(config)["set_switch_cycles"] * np.arange(8)).tolist()
