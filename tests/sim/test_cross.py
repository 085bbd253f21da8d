# SPDX-License-Identifier: Apache-2.0
"""Engines whose queries come on a stream of their own: pairs of packets, bit by bit and in time."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from ecoformer.golden.integer.attention import attend
from ecoformer.hw.attention.cross import CrossCore
from ecoformer.hw.emit.manifest import manifest
from ecoformer.hw.emit.verilog import emit
from ecoformer.hw.parameters.slots import PairSlotTable
from ecoformer.sim.faults import faults_of, impossible_faults
from ecoformer.sim.plan import make_plan
from ecoformer.sim.rtl import Rtl
from ecoformer.sim.simulate import simulate
from ecoformer.sim.stimulus import random_image, random_workload
from ecoformer.sim.verification import verify
from ecoformer.sim.verify import compare
from ecoformer.spec.config import Config
from ecoformer.spec.workload import Workload
from tests.emitted import emitted

SMALL = dict(
    head_dim=5, value_dim=4, code_bits=6, anchors=3, max_tokens=9, cycles_per_token=4,
    parameter_sets=3, bus_bytes=4, queries="cross",
)
ENGINES = {
    "adders only": Config(**SMALL | {"hash": "linear", "weights": "ternary"}),
    "kernel, narrow bus": Config(**SMALL | {"cycles_per_token": 16, "bus_bytes": 1}),
    "codes, every cycle": Config(
        **SMALL | {"hash": "codes", "cycles_per_token": 1, "bus_bytes": 16}
    ),
    "codes, every other cycle": Config(**SMALL | {"hash": "codes", "cycles_per_token": 2}),
    "tables": Config(**SMALL | {"hash": "codes", "dataflow": "bucketed", "state_banks": 3}),
    "quadratic": Config(**SMALL | {"hash": "codes", "dataflow": "xnor", "state_banks": 3}),
}
LINEAR = {name: config for name, config in ENGINES.items() if config.dataflow != "xnor"}
OFTEN = ("adders only", "quadratic")


def by_name(engines):
    return pytest.mark.parametrize("config", [
        pytest.param(config, id=name, marks=() if name in OFTEN else pytest.mark.full)
        for name, config in engines.items()
    ])


def pairs(config, rng, keys, queries, count):
    """Pairs of packets of so many keys and queries, all for set 0."""
    whole = random_workload(config, rng, count, lengths=max(keys, queries), sets=1)
    return Workload.from_sequences(
        (index, k[:keys], v[:keys], q[:queries]) for index, k, v, q in whole.sequences()
    )


@by_name(ENGINES)
def test_every_bit_agrees_whatever_is_wrong_with_a_packet(config, builds):
    rng = np.random.default_rng(1)
    image = random_image(config, rng, sets=2)
    kinds = [kind for kind in faults_of(config) if kind not in impossible_faults(config, 2)]
    workload = random_workload(config, rng, 2 * len(kinds) + 4, sets=2)
    assert (workload.lengths != workload.query_lengths).any()
    faults = dict(zip(range(1, 2 * len(kinds), 2), kinds))
    run = simulate(
        config, emitted(config), image, workload, simulator="icarus", stall=0.3, faults=faults,
        updates={len(workload) - 2: random_image(config, rng, sets=1)}, build_dir=builds,
    )
    report = compare(config, image, workload, run)
    assert report.ok, "\n".join(map(str, report.mismatches[:10]))
    assert np.flatnonzero(run.errors).tolist() == list(faults)
    assert len(run.codes) == 2 and report.codes > workload.answers.sum()
    assert run.registers["PAIR_MISMATCH"] == 1 and run.registers["UNKNOWN_SET"] == 2


@by_name(LINEAR)
def test_pairs_follow_one_another_at_the_published_rate(config, builds):
    """max(keys, queries)·k cycles a pair; an isolated one takes what the manifest says."""
    rng, k, longest = np.random.default_rng(2), config.cycles_per_token, config.max_tokens
    image = random_image(config, rng, sets=1)
    cycles = manifest(config)["cycles"]
    overhead, least = cycles["isolated_overhead"], cycles["full_rate_tokens"]
    assert cycles["isolated_sequence"] == f"(max(Nk, Nq) + Nq)*{k} + {overhead}"
    rtl = Rtl(config, emitted(config), image, builds)
    for keys, queries in ((1, 1), (2, 1), (1, 2), (longest, longest), (longest, 1), (1, longest),
                          (4, longest), (longest, 4)):
        workload = pairs(config, rng, keys, queries, 10)
        run = rtl.stream(workload)
        assert compare(config, image, workload, run).ok
        if max(keys, queries) >= least:
            steps = np.diff(run.stamps["last_out"][1:])
            assert steps.tolist() == [max(keys, queries) * k] * 8, (keys, queries)
        alone = rtl.stream(pairs(config, rng, keys, queries, 1))
        most = (max(keys, queries) + queries) * k + overhead
        assert alone.busy_cycles == most if keys >= queries else alone.busy_cycles <= most
    rtl.close()


@by_name(ENGINES)
def test_the_whole_contract(config, builds):
    rng = np.random.default_rng(4)
    image, workload = random_image(config, rng), random_workload(config, rng, 12)
    plan = make_plan(
        config, image, workload, cycles=250_000 * config.cycles_per_token,
        phases=("pairs", "faults", "aborts", "updates", "scripts"),
    )
    result = verify(config, emitted(config), plan, build_dir=builds)
    assert result.ok, "\n".join(map(str, result.mismatches[:10]))
    happened = sum((phase.happened for phase in result.phases), start=Counter())
    for name in ("PAIR_MISMATCH", "TOO_LONG", "ABORTED", "UNKNOWN_SET", "load", "reset"):
        assert happened[name] > 5, name


def test_the_function_takes_queries_of_another_length(builds):
    config, rng = ENGINES["adders only"], np.random.default_rng(5)
    image = random_image(config, rng)
    k, v = rng.integers(-128, 128, (2, 3, 7, 5)), rng.integers(-128, 128, (2, 3, 7, 4))
    q = rng.integers(-128, 128, (2, 3, 4, 5))
    rtl = Rtl(config, emitted(config), image, builds)
    np.testing.assert_array_equal(
        rtl(k, v, 1, queries=q), attend(config, image, 1, k, v, queries=q)[0]
    )
    for wrong in (q[:1], q[..., :4], q[0]):
        with pytest.raises(ValueError, match="^queries must have shape"):
            rtl(k, v, queries=wrong)
    with pytest.raises(ValueError, match="^query_lengths must be there with queries = 'cross'"):
        rtl(k, v)
    rtl.close()


def forgets_queries(monkeypatch):
    """Queries of a pair that is bad for the sake of its keys stay in the ring."""
    monkeypatch.setattr(CrossCore, "_lost", lambda self, m, dropped, tail, sequences: dropped)


def parts_pairs(monkeypatch):
    """Each packet of a pair uses the set that is there as it begins itself."""
    monkeypatch.setattr(PairSlotTable, "_earlier", lambda self, follows, user, found: found)


@pytest.mark.parametrize("spoil", [forgets_queries, parts_pairs])
def test_a_wrong_engine_is_found_out(spoil, builds, monkeypatch):
    config, rng = ENGINES["adders only"], np.random.default_rng(6)
    image, workload = random_image(config, rng), random_workload(config, rng, 4)
    spoil(monkeypatch)
    plan = make_plan(config, image, workload, cycles=300_000, phases=("pairs",))
    result = verify(config, emit(config), plan, build_dir=builds)
    assert not result.ok


def test_a_workload_without_queries_is_refused(builds):
    config, rng = ENGINES["adders only"], np.random.default_rng(7)
    image, workload = random_image(config, rng), random_workload(config, rng, 2)
    bare = replace(workload, queries=None, query_lengths=None)
    with pytest.raises(Exception, match="query_lengths must be there with queries = 'cross'"):
        simulate(config, emitted(config), image, bare, build_dir=builds)
