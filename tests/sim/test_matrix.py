# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest

from ecoformer.sim.simulate import simulate
from ecoformer.sim.stimulus import random_image, random_workload
from ecoformer.sim.verify import compare
from ecoformer.spec.choices import CHOICES
from ecoformer.spec.config import GOALS, RANGES
from ecoformer.spec.dataflows import DATAFLOWS
from tests.emitted import emitted
from tests.matrix import edge_configs, pair_configs, random_config, trial, uncovered_pairs

PAIRS = pair_configs()


def check(config, seed, builds):
    rng = np.random.default_rng(seed)
    image, workload = trial(config, rng, 8)
    run = simulate(
        config, emitted(config), image, workload, simulator="icarus", stall=0.3, seed=seed,
        build_dir=builds,
    )
    report = compare(config, image, workload, run)
    assert report.ok, f"{config}\n" + "\n".join(map(str, report.mismatches[:10]))


@pytest.mark.parametrize("seed", [101, 102, 103])
def test_random_configurations_are_exact_under_stalls(seed, builds):
    check(random_config(np.random.default_rng(seed)), seed, builds)


@pytest.mark.parametrize(
    "row", [10, 39, *(pytest.param(row, marks=pytest.mark.full) for row in (3, 5))]
)
def test_rows_of_the_covering_array_are_exact_under_stalls(row, builds):
    check(PAIRS[row], row, builds)


@pytest.mark.parametrize("seed", [pytest.param(201, marks=pytest.mark.full), 202])
def test_all_dataflows_give_the_same_results(seed, builds):
    rng = np.random.default_rng(seed)
    config = replace(random_config(rng), dataflow="accumulate", max_tokens=16)
    image, workload = random_image(config, rng), random_workload(config, rng, 7)
    flows = [flow for flow, form in DATAFLOWS[config.mask].items() if form.takes_codes]
    assert flows[0] == "accumulate" and len(flows) > 1
    linear, *others = (
        simulate(c, emitted(c), image, workload, simulator="compiled", build_dir=builds).outputs
        for c in (replace(config, dataflow=flow) for flow in flows)
    )
    for other in others:
        for expected, got in zip(linear, other, strict=True):
            np.testing.assert_array_equal(got, expected)


def test_the_matrix_reaches_both_ends_of_every_range():
    configs = edge_configs().values()
    for name, ends in RANGES.items():
        if name not in GOALS:
            assert {*ends} <= {getattr(config, name) for config in configs}
    for name, choices in CHOICES.items():
        assert {*choices.built()} == {getattr(config, name) for config in configs}


def test_every_pair_of_values_is_in_the_matrix_or_refused_by_a_rule():
    uncovered = uncovered_pairs(PAIRS)
    assert all(uncovered.values()), "a pair that can be built is missing"
    assert len(uncovered) <= 52
    half = uncovered_pairs(PAIRS[: len(PAIRS) // 2])
    assert "" in half.values(), "the rest of the rows is there for nothing"
