# SPDX-License-Identifier: Apache-2.0
import re

import numpy as np
import pytest

from ecoformer.sim.rtl import Rtl
from ecoformer.sim.stimulus import random_image, random_workload
from ecoformer.spec.units import core_units, units
from tests.emitted import emitted
from tests.sim.test_engine import KINDS, LINEAR, SMALL, by_name, run


def busy_cycles(result):
    """Busy cycles by unit: (in the run, in its steady part)."""
    return dict(zip(units(result.config), map(tuple, result.busy.T.tolist()), strict=True))


def steps_of(config, lengths):
    """What the units must have worked, from the lengths alone."""
    tokens, pairs = int(lengths.sum()), int((lengths**2).sum())
    quadratic = config.dataflow in ("xnor", "softmax")
    per_pair = core_units(config) if quadratic else ()
    return {
        name: pairs if name in per_pair else tokens * unit.steps
        for name, unit in units(config).items()
    }


@pytest.mark.icarus
@by_name(KINDS)
def test_every_unit_works_its_steps_on_every_token(config, builds):
    workload = random_workload(config, np.random.default_rng(6), 7)
    want = steps_of(config, workload.lengths)
    for stall in (0.0, 0.4):
        result = run(config, builds, workload, stall=stall)
        assert {name: all_ for name, (all_, _) in busy_cycles(result).items()} == want, stall


@pytest.mark.icarus
@by_name({name: config for name, config in KINDS.items() if name in LINEAR})
def test_no_unit_idles_in_the_steady_part(config, builds):
    """Back to back at equal length: busy for its steps in every k cycles, whatever k is."""
    k, engines = config.cycles_per_token, config.engines
    workload = random_workload(
        config, np.random.default_rng(7), 12 * engines, lengths=config.max_tokens
    )
    result = run(config, builds, workload)
    assert result.steady_part > 4 * config.max_tokens * k
    for name, unit in units(config).items():
        _, steady = busy_cycles(result)[name]
        assert abs(steady - engines * result.steady_part * unit.steps / k) < engines * k, name
        shares = result.units[name]
        assert shares["steady_busy"] == pytest.approx(unit.steps / k, rel=0.05)
        assert shares["steady_useful"] == pytest.approx(unit.work / (unit.lanes * k), rel=0.05)


@pytest.mark.icarus
@pytest.mark.parametrize("name", ["primes", "quadratic", "softmax", "two engines"])
def test_both_benches_count_the_same(name, builds):
    config = SMALL[name]
    count = 6 if config.engines == 1 else 40  # several engines have buffers for many
    workload = random_workload(config, np.random.default_rng(8), count, lengths=(5, 9))
    compiled, bench = (
        run(config, builds, workload, simulator=simulator) for simulator in ("compiled", "icarus")
    )
    np.testing.assert_array_equal(bench.busy, compiled.busy)
    assert bench.steady_part == compiled.steady_part > 0
    assert bench.units == compiled.units


def test_a_run_begins_at_zero(builds):
    """The compiled engine goes on from run to run; what it counts does not."""
    config = SMALL["primes"]
    rng = np.random.default_rng(9)
    workload = random_workload(config, rng, 4)
    rtl = Rtl(config, emitted(config, name="ecoformer_engine"), random_image(config, rng), builds)
    first, second = (rtl.stream(workload) for _ in range(2))
    np.testing.assert_array_equal(first.busy, second.busy)


@by_name(SMALL)
def test_multipliers_are_those_of_the_verilog(config):
    """A lane that multiplies is a product in the text; whatever is not one is not counted."""
    text = emitted(config, name="ecoformer_engine")
    products = len(re.findall(r"^\s*assign .* \* .*;$", text, re.MULTILINE))
    counted = sum(unit.lanes for unit in units(config).values() if unit.multiplies)
    assert products == config.engines * counted


def test_shares_of_a_run_without_steady_part(builds):
    config = SMALL["primes"]
    workload = random_workload(config, np.random.default_rng(9), 1, lengths=3)
    result = run(config, builds, workload, simulator="compiled")
    assert result.steady_part == 0
    for name, unit in units(config).items():
        shares = result.units[name]
        assert shares["busy"] == 3 * unit.steps / result.busy_cycles
        assert shares["useful"] == pytest.approx(3 * unit.work / unit.lanes / result.busy_cycles)
        assert shares["steady_busy"] is shares["steady_useful"] is None
    assert result.units["multipliers"]["steady_busy"] is None


def test_multipliers_together_are_the_mean_over_their_lanes(builds):
    config = SMALL["primes"]
    workload = random_workload(config, np.random.default_rng(9), 5, lengths=20)
    shares = run(config, builds, workload, simulator="compiled").units
    counted = [shares[name] for name, unit in units(config).items() if unit.multiplies]
    together = shares["multipliers"]
    assert together["lanes"] == sum(unit["lanes"] for unit in counted)
    for share in ("busy", "useful", "steady_busy", "steady_useful"):
        mean = sum(unit["lanes"] * unit[share] for unit in counted) / together["lanes"]
        assert together[share] == pytest.approx(mean)
