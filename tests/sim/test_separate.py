# SPDX-License-Identifier: Apache-2.0
"""Separate queries where `tests.sim.test_engine` does not take them: other cores, wrong answers."""

from dataclasses import replace

import numpy as np
import pytest

from ecoformer.sim.simulate import simulate
from ecoformer.sim.stimulus import random_image, random_workload
from ecoformer.sim.verify import compare
from ecoformer.spec.arithmetic import Arithmetic
from ecoformer.spec.config import Config
from tests.emitted import emitted

ENGINES = {
    "serial": Config(
        head_dim=8, value_dim=9, code_bits=5, anchors=3, max_tokens=7, cycles_per_token=64,
        parameter_sets=2, bus_bytes=1, queries="separate",
    ),
    "tables": Config(
        head_dim=3, value_dim=4, code_bits=9, max_tokens=9, cycles_per_token=4, parameter_sets=2,
        bus_bytes=4, hash="linear", weights="pow2", dataflow="bucketed", queries="separate",
    ),
    "softmax, two engines": Config(
        head_dim=3, value_dim=4, max_tokens=9, cycles_per_token=8, engines=2, parameter_sets=2,
        bus_bytes=4, hash="none", dataflow="softmax", queries="separate",
    ),
    "codes of the host, quadratic": Config(
        value_dim=3, code_bits=11, max_tokens=9, cycles_per_token=4, parameter_sets=2,
        bus_bytes=2, hash="codes", dataflow="xnor", value_term="own", queries="separate",
    ),
}


def run(config, builds, image, workload):
    return simulate(
        config, emitted(config), image, workload, simulator="icarus", stall=0.3, seed=1,
        build_dir=builds,
    )


@pytest.mark.parametrize("config", ENGINES.values(), ids=ENGINES)
def test_every_bit_agrees(config, builds):
    rng = np.random.default_rng(2)
    image, workload = random_image(config, rng), random_workload(config, rng, 10)
    report = compare(config, image, workload, run(config, builds, image, workload))
    assert report.ok, "\n".join(map(str, report.mismatches[:10]))
    assert report.codes == workload.lengths.sum()


def test_the_wrong_side_is_named(builds):
    """Against an image with one threshold changed, only bits of that side differ."""
    config, rng = ENGINES["tables"], np.random.default_rng(3)
    image, workload = random_image(config, rng), random_workload(config, rng, 6)
    result = run(config, builds, image, workload)
    for name, bit in (("query_threshold", "query bit 4"), ("threshold", "code bit 4")):
        other = getattr(image, name).copy()
        other[:, 4] = Arithmetic(config).max_projection
        found = compare(config, replace(image, **{name: other}), workload, result).mismatches
        assert {one.what for one in found if "bit" in one.what} == {bit}
