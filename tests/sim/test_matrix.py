from dataclasses import replace

import numpy as np
import pytest

from ecoformer.config import RANGES
from hw.verilog import emit
from sim.matrix import edge_configs, random_config
from sim.simulate import simulate
from sim.stimulus import random_image, random_workload
from sim.verify import compare


@pytest.mark.parametrize("seed", [101, 102, 103, 104])
def test_random_configurations_are_exact_under_stalls(seed, builds):
    rng = np.random.default_rng(seed)
    config = random_config(rng)
    image, workload = random_image(config, rng), random_workload(config, rng, 8)
    run = simulate(
        config, emit(config), image, workload, simulator="icarus", stall=0.3, seed=seed,
        build_dir=builds,
    )  # fmt: skip
    report = compare(config, image, workload, run)
    assert report.ok, f"{config}\n" + "\n".join(map(str, report.mismatches[:10]))


@pytest.mark.parametrize("seed", [201, 202])
def test_both_dataflows_give_the_same_results(seed, builds):
    rng = np.random.default_rng(seed)
    config = replace(random_config(rng), dataflow="accumulate", max_tokens=16)
    image, workload = random_image(config, rng), random_workload(config, rng, 7)
    linear, quadratic = (
        simulate(c, emit(c), image, workload, simulator="icarus", build_dir=builds).outputs
        for c in (config, replace(config, dataflow="xnor"))
    )
    for one, other in zip(linear, quadratic, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_matrix_reaches_both_ends_of_every_range():
    configs = edge_configs().values()
    for name, ends in RANGES.items():
        assert {*ends} <= {getattr(config, name) for config in configs}
