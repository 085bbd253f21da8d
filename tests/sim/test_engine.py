# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from ecoformer.sim.faults import FAULTS, impossible_faults
from ecoformer.sim.simulate import simulate
from ecoformer.sim.stimulus import PATTERNS, random_image, random_workload
from ecoformer.sim.toolchain import SIMULATORS
from ecoformer.sim.verify import compare
from ecoformer.spec.config import Config
from tests.emitted import emitted

SMALL = {
    "one of everything": Config(
        head_dim=1, value_dim=1, code_bits=1, anchors=1, max_tokens=1, cycles_per_token=2,
        parameter_sets=1, bus_bytes=1, token_width=4, value_width=4, tuser_width=1,
    ),
    "every cycle": Config(
        head_dim=4, value_dim=3, code_bits=5, anchors=3, max_tokens=20, cycles_per_token=1,
        parameter_sets=2, bus_bytes=8,
    ),
    "every cycle, cells in rows and columns": Config(
        head_dim=5, value_dim=19, code_bits=11, max_tokens=9, cycles_per_token=1,
        parameter_sets=2, bus_bytes=32, hash="linear", weights="ternary", output_width=8,
        state_banks=3,
    ),
    "every cycle, own value": Config(
        head_dim=4, value_dim=9, code_bits=6, max_tokens=20, cycles_per_token=1,
        parameter_sets=2, bus_bytes=32, hash="linear", value_term="own", offset_fraction=1,
    ),
    "primes": Config(
        head_dim=7, value_dim=5, code_bits=11, anchors=3, max_tokens=37, cycles_per_token=8,
        parameter_sets=5, bus_bytes=3, token_width=5, value_width=7, output_width=11,
        output_fraction=3, offset_fraction=2, state_banks=3,
    ),
    "widest numbers": Config(
        head_dim=6, value_dim=4, code_bits=8, anchors=5, max_tokens=30, cycles_per_token=4,
        parameter_sets=3, bus_bytes=4, output_width=24, output_fraction=12, offset_fraction=8,
        state_banks=4, tuser_width=16,
    ),
    "narrowest numbers": Config(
        head_dim=5, value_dim=6, code_bits=4, anchors=2, max_tokens=16, cycles_per_token=8,
        parameter_sets=4, bus_bytes=2, token_width=4, value_width=4, output_width=4,
        output_fraction=0,
    ),
    "one multiplier": Config(
        head_dim=3, value_dim=2, code_bits=3, anchors=2, max_tokens=12, cycles_per_token=64,
        parameter_sets=2, bus_bytes=1, state_banks=8,
    ),
    "serial": Config(
        head_dim=11, value_dim=9, code_bits=5, anchors=3, max_tokens=7, cycles_per_token=64,
        parameter_sets=2, bus_bytes=1, token_width=5, value_width=6, state_banks=3,
    ),
    "serial, every step used": Config(
        head_dim=8, value_dim=8, code_bits=8, anchors=8, max_tokens=7, cycles_per_token=64,
        parameter_sets=2, bus_bytes=1, weights="pow2",
    ),
    "serial, adders only": Config(
        head_dim=8, value_dim=13, code_bits=4, max_tokens=9, cycles_per_token=64,
        parameter_sets=2, bus_bytes=1, hash="linear", weights="ternary", output_width=8,
    ),
    "quadratic": Config(
        head_dim=4, value_dim=3, code_bits=6, anchors=3, max_tokens=11, cycles_per_token=8,
        parameter_sets=2, bus_bytes=2, dataflow="xnor", offset_fraction=1,
    ),
    "tables": Config(
        head_dim=4, value_dim=5, code_bits=11, anchors=3, max_tokens=19, cycles_per_token=8,
        parameter_sets=2, bus_bytes=3, dataflow="bucketed", offset_fraction=2, state_banks=3,
    ),
    "tables, every cycle": Config(
        head_dim=4, value_dim=3, code_bits=6, anchors=3, max_tokens=50, cycles_per_token=1,
        parameter_sets=2, bus_bytes=8, dataflow="bucketed",
    ),
    "tables, own value": Config(
        head_dim=5, value_dim=4, code_bits=9, max_tokens=11, cycles_per_token=4, parameter_sets=2,
        bus_bytes=3, dataflow="bucketed", value_term="own", hash="linear",
    ),
    "adders only": Config(
        head_dim=7, value_dim=3, code_bits=5, max_tokens=13, cycles_per_token=2,
        parameter_sets=2, bus_bytes=8, hash="linear", weights="ternary",
    ),
    "own value": Config(
        head_dim=5, value_dim=4, code_bits=6, anchors=3, max_tokens=11, cycles_per_token=8,
        parameter_sets=2, bus_bytes=3, weights="pow2", value_term="own", offset_fraction=2,
    ),
    "codes of the host": Config(
        value_dim=3, code_bits=11, max_tokens=9, cycles_per_token=4, parameter_sets=2,
        bus_bytes=2, hash="codes",
    ),
    "codes of the host, every cycle": Config(
        value_dim=3, code_bits=11, max_tokens=9, cycles_per_token=1, parameter_sets=2,
        bus_bytes=8, hash="codes",
    ),
    "softmax": Config(
        head_dim=5, value_dim=7, max_tokens=11, cycles_per_token=8, parameter_sets=3, bus_bytes=4,
        token_width=7, output_width=12, state_banks=3, hash="none", dataflow="softmax",
    ),
    "quadratic, own value": Config(
        head_dim=4, value_dim=3, code_bits=6, max_tokens=7, cycles_per_token=8, parameter_sets=2,
        bus_bytes=2, dataflow="xnor", value_term="own", hash="linear",
    ),
    "no tuser": Config(
        head_dim=3, value_dim=4, code_bits=6, anchors=4, max_tokens=14, cycles_per_token=2,
        parameter_sets=3, bus_bytes=4, tuser_width=0, output_width=8,
    ),
    "two engines": Config(  # whose beats leave no cycle free
        head_dim=7, value_dim=5, code_bits=11, anchors=3, max_tokens=37, cycles_per_token=8,
        engines=2, parameter_sets=5, bus_bytes=3, token_width=5, value_width=7, output_width=11,
        output_fraction=3, offset_fraction=2, state_banks=3,
    ),
    "three engines": Config(
        head_dim=5, value_dim=4, code_bits=6, max_tokens=11, cycles_per_token=4, engines=3,
        parameter_sets=3, bus_bytes=16, hash="linear", weights="pow2", value_term="own",
    ),
    "three engines, one token": Config(
        head_dim=3, value_dim=2, code_bits=5, anchors=3, max_tokens=1, cycles_per_token=8,
        engines=3, parameter_sets=2, bus_bytes=3, output_width=8, tuser_width=0,
    ),
    "two engines, quadratic": Config(
        head_dim=4, value_dim=3, code_bits=6, anchors=3, max_tokens=11, cycles_per_token=8,
        engines=2, parameter_sets=2, bus_bytes=2, dataflow="xnor", offset_fraction=1,
    ),
    "two engines, softmax": Config(
        head_dim=3, value_dim=4, max_tokens=9, cycles_per_token=8, engines=2, parameter_sets=2,
        bus_bytes=4, hash="none", dataflow="softmax",
    ),
    "separate queries": Config(
        head_dim=5, value_dim=4, code_bits=9, anchors=3, max_tokens=17, cycles_per_token=8,
        parameter_sets=3, bus_bytes=3, token_width=6, value_term="own", queries="separate",
    ),
    "separate queries, every cycle": Config(
        head_dim=4, value_dim=9, code_bits=6, max_tokens=12, cycles_per_token=1, parameter_sets=2,
        bus_bytes=32, hash="linear", weights="ternary", queries="separate",
    ),
}
LINEAR = {name: config for name, config in SMALL.items() if config.dataflow == "accumulate"}


KINDS = {
    name: SMALL[name]
    for name in (
        "every cycle", "primes", "serial", "quadratic", "tables", "adders only", "own value",
        "codes of the host", "softmax", "three engines", "separate queries",
    )
}
"""An engine of every kind: what holds of the others differs in sizes alone."""


def by_name(configs):
    """To parametrize a test: those that are of a kind of their own always, all in the long run."""
    return pytest.mark.parametrize("config", [
        pytest.param(config, id=name, marks=() if name in KINDS else pytest.mark.full)
        for name, config in configs.items()
    ])


def with_stalls(stall):
    """As `by_name`, at full rate and with stalls of this probability."""
    return pytest.mark.parametrize("config, stall", [
        pytest.param(
            config, probability, id=f"{name}-{'stalls' if probability else 'full-rate'}",
            marks=() if name in KINDS else pytest.mark.full,
        )
        for name, config in SMALL.items() for probability in (0.0, stall)
    ])


def run(config, builds, workload, *, seed=0, stall=0.0, simulator=None, sets=None, **options):
    """Simulate under a random image; fails on any mismatch.

    With stalls, where registers wait longest, on a simulator that knows X; else on the fastest.
    """
    image = random_image(config, np.random.default_rng(seed + 100), sets=sets)
    result = simulate(
        config, emitted(config, name="ecoformer_engine"), image, workload, build_dir=builds,
        simulator=simulator or ("icarus" if stall else "compiled"), seed=seed, stall=stall,
        **options,
    )
    report = compare(config, image, workload, result)
    assert report.ok, "\n".join(map(str, report.mismatches[:10]))
    return result


@with_stalls(0.4)
def test_every_bit_agrees(config, builds, stall):
    workload = random_workload(config, np.random.default_rng(1), 2 * len(PATTERNS))
    result = run(config, builds, workload, stall=stall)
    assert sum(map(len, result.codes)) == workload.lengths.sum()


def test_simulators_agree_cycle_by_cycle(builds):
    config = SMALL["primes"]
    workload = random_workload(config, np.random.default_rng(2), 9)
    one, *others = (run(config, builds, workload, simulator=name) for name in SIMULATORS)
    for other in others:
        for name, stamps in one.stamps.items():
            np.testing.assert_array_equal(other.stamps[name], stamps)
        assert one.registers == other.registers


@with_stalls(0.3)
def test_bad_packets_are_answered_and_the_next_is_exact(config, builds, stall):
    sets = max(1, config.parameter_sets - 1)
    kinds = [kind for kind in FAULTS if kind not in impossible_faults(config, sets)]
    rng = np.random.default_rng(3)
    # A bad packet first, last, alone between good ones, and two in a row of every pair of kinds.
    order = [kinds[0], None]
    for kind in kinds:
        order += [kind, None]
        for other in kinds:
            order += [kind, other]
    order += [None, kinds[-1]]
    workload = random_workload(config, rng, len(order), sets=sets)
    faults = {i: kind for i, kind in enumerate(order) if kind}
    result = run(config, builds, workload, stall=stall, faults=faults, sets=sets)
    assert np.flatnonzero(result.errors).tolist() == list(faults)


@by_name(LINEAR)
def test_sequences_of_equal_length_run_at_full_rate(config, builds):
    for length in {1, 3, config.max_tokens} & set(range(1, config.max_tokens + 1)):
        # Without tuser the bench selects a set too slowly for packets of a few beats.
        sets = None if config.tuser_width else 1
        count = 2 + 4 * config.engines
        rng = np.random.default_rng(4)
        workload = random_workload(config, rng, count, lengths=length, sets=sets)
        result = run(config, builds, workload)
        first = result.stamps["first_out"]
        assert first[-1] - first[1] == config.cycles_per_token * length * 4, f"{length} tokens"
        assert result.cycles_per_token == config.steady_cycles


@by_name(LINEAR)
def test_an_isolated_sequence_is_answered_in_time(config, builds):
    for length in {1, config.max_tokens // 2 + 1, config.max_tokens}:
        workload = random_workload(config, np.random.default_rng(5), 1, lengths=length)
        cycles = run(config, builds, workload).busy_cycles
        assert cycles <= (2 * length + 8) * config.cycles_per_token + 150


@pytest.mark.parametrize("stall", [0.0, 0.3], ids=["full-rate", "stalls"])
@by_name({name: SMALL[name] for name in ("primes", "every cycle", "one of everything")})
def test_a_set_in_use_is_never_altered(config, builds, stall):
    rng = np.random.default_rng(6)
    workload = random_workload(config, rng, 10)
    updates = {packet: random_image(config, rng) for packet in (1, 2, 6, 9)}
    run(config, builds, workload, updates=updates, stall=stall)
