# SPDX-License-Identifier: Apache-2.0
"""Verification finds what is broken by hand, wherever it is, and ends in any case."""

import contextlib

import numpy as np
import pytest

from benchmarks.engines import FAULTY
from ecoformer.sim.build import build
from ecoformer.sim.compiled import CompiledEngine
from ecoformer.sim.phases import PHASES
from ecoformer.sim.plan import NAMES, make_plan
from ecoformer.sim.stimulus import random_image, random_workload
from ecoformer.sim.verification import verify, verify_on
from tests.emitted import emitted
from tests.sim.broken import CONFIG, FAULTS, SWITCH, broken, switchable

FOUND = {
    "no beat is taken": "nothing moves any more",
    "results never end": "more beats come than",
    "no result": "nothing moves any more",
    "valid falls": "m_axis_tvalid falls",
    "valid in reset": "active in reset",
    "data change": "m_axis changes before",
    "tuser changes": "m_axis_tuser changes",
    "padding is not zero": "byte 1 of beat",
    "an error answer is not zero": "byte 0 of an error answer",
    "the error bit is lost": "error bit in tuser",
    "the set is lost": "parameter set in tuser",
    "counters are swapped": "TOO_LONG is",
    "a soft reset is lost": "error bit in tuser",
    "strobes are ignored": "response to a write to CONTROL",
    "an answer is not held": "s_axil_rvalid falls",
    "a constant is wrong": "PARAMETER_SETS is",
    "a counter is stuck": "BLOCKED is 0",
    "nothing is refused": "response to a write to ID",
    "no interrupt": "irq",
    "interrupts of their own": "irq",
}
"""How some of the faults must show."""


def plan(**options):
    rng = np.random.default_rng(0)
    image, workload = random_image(CONFIG, rng), random_workload(CONFIG, rng, 6)
    return list(make_plan(CONFIG, image, workload, **options))


@pytest.fixture(scope="module")
def whole():
    return plan()


@pytest.fixture(scope="module")
def built(builds):
    return build(switchable(), builds, simulator="compiled")


@pytest.fixture
def engine(built):
    with contextlib.closing(CompiledEngine(built.folder)) as engine:
        yield engine


def test_an_engine_without_a_fault_passes(engine, whole):
    result = verify_on(engine, CONFIG, whole)
    assert result.ok, "\n".join(map(str, result.mismatches[:10]))
    names = [name for name in NAMES if name not in PHASES or PHASES[name].applies(CONFIG)]
    assert [phase.name for phase in result.phases] == names
    assert all(phase.scenes and phase.registers and not phase.left_out for phase in result.phases)
    happened = sum((phase.happened for phase in result.phases), start=type(
        result.phases[0].happened)())
    kinds = ("MISALIGNED", "TOO_LONG", "UNKNOWN_SET", "ABORTED", "load", "reset")
    assert all(happened[kind] > 20 for kind in kinds), happened


def test_bad_packets_that_wait_for_tables_are_waited_for(builds):
    config, rng = FAULTY["tables"], np.random.default_rng(0)
    image, workload = random_image(config, rng), random_workload(config, rng, 2)
    plan = make_plan(config, image, workload, phases=("updates",), cycles=2_000_000)
    result = verify(config, emitted(config), plan, build_dir=builds)
    assert result.ok, "\n".join(map(str, result.mismatches[:10]))


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_found(engine, whole, name):
    address, base = SWITCH
    engine.write(address, base + list(FAULTS).index(name) + 1)
    result = verify_on(engine, CONFIG, whole, first=True)
    assert not result.ok
    found = "\n".join(map(str, result.mismatches))
    assert FOUND.get(name, "") in found, found
    assert all(mismatch.phase and mismatch.scene for mismatch in result.mismatches)


@pytest.mark.icarus
def test_the_bench_within_a_simulator_plays_the_same_scripts(builds):
    result = verify(
        CONFIG, broken("irq", "irq_"), plan(simulator="icarus", cycles=20_000),
        simulator="icarus", build_dir=builds,
    )
    assert result.ok, "\n".join(map(str, result.mismatches[:10]))
    assert all(phase.scenes for phase in result.phases)


@pytest.mark.icarus
@pytest.mark.parametrize(
    "hook, wrong, found",
    [
        ("data", "o__payload[15:0] ^ {16{beats == 5'd3 ? 1'bx : 1'b0}}", "m_axis_tdata is neither"),
        ("bresp", "stalled ? bresp : 2'bxx", "s_axil_bresp is neither"),
        ("ready", "1'b0", "nothing moves any more"),
        ("valid", "aresetn", "more beats come than"),
        ("valid", "o__valid & aresetn & ~stalled", "m_axis_tvalid falls"),
    ],
    ids=["X in data", "X in a response", "stuck", "babbling", "withdrawn"],
)
def test_what_a_simulator_sees_is_a_mismatch_and_ends(builds, hook, wrong, found):
    result = verify(
        CONFIG, broken(hook, wrong), plan(simulator="icarus", phases=("workload",), stall=0.3),
        simulator="icarus", build_dir=builds,
    )
    assert not result.ok
    assert found in "\n".join(map(str, result.mismatches))
