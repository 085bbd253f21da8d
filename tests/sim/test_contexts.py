# SPDX-License-Identifier: Apache-2.0
"""Engines under a causal mask: contexts in any order, bit by bit and cycle by cycle."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from ecoformer.golden.integer.attention import attend
from ecoformer.hw.emit.manifest import manifest
from ecoformer.hw.engine.top import Top
from ecoformer.sim.contexts import Asked, Continued
from ecoformer.sim.contract import packet_error
from ecoformer.sim.plan import make_plan
from ecoformer.sim.rtl import Rtl
from ecoformer.sim.simulate import simulate
from ecoformer.sim.stimulus import random_image, random_workload
from ecoformer.sim.verification import verify
from ecoformer.sim.verify import compare
from ecoformer.spec.config import Config
from ecoformer.spec.registers import Error
from ecoformer.spec.workload import Workload
from tests.emitted import emitted

SMALL = dict(
    head_dim=5, value_dim=4, code_bits=7, anchors=3, max_tokens=13, cycles_per_token=8,
    parameter_sets=3, bus_bytes=4, contexts=5, mask="causal",
)
ENGINES = {
    "contexts": Config(**SMALL),
    "one context, no tuser": Config(**SMALL | {"contexts": 1, "tuser_width": 0}),
    "k = 4, a beat per token": Config(
        **SMALL | {"cycles_per_token": 4, "bus_bytes": 14, "queries": "separate", "hash": "linear"}
    ),
    "k = 32, own value": Config(
        **SMALL | {"cycles_per_token": 32, "bus_bytes": 1, "value_term": "own", "contexts": 2}
    ),
    "codes of the host": Config(**SMALL | {"hash": "codes", "queries": "separate", "contexts": 3}),
    "quadratic": Config(**SMALL | {"dataflow": "xnor", "contexts": 3}),
}
LINEAR = {name: config for name, config in ENGINES.items() if config.dataflow == "accumulate"}
OFTEN = ("contexts", "one context, no tuser")


def by_name(engines):
    return pytest.mark.parametrize("config", [
        pytest.param(config, id=name, marks=() if name in OFTEN else pytest.mark.full)
        for name, config in engines.items()
    ])


def tokens(config, rng, contexts, begun=()):
    """A workload of packets of one token for ``contexts``, in this order."""
    drawn = random_workload(config, rng, len(contexts), lengths=1, sets=1)
    seen = set(begun)
    begins = [int(not (i in seen or seen.add(i))) for i in contexts]
    return replace(drawn, contexts=np.array(contexts), begins=np.array(begins))


@by_name(ENGINES)
def test_every_bit_agrees(config, builds):
    rng = np.random.default_rng(1)
    image, workload = random_image(config, rng), random_workload(config, rng, 30)
    assert 0 < (workload.begins == 0).sum() < 30 or config.max_tokens == 1
    run = simulate(
        config, emitted(config), image, workload, simulator="icarus", stall=0.3, build_dir=builds
    )
    report = compare(config, image, workload, run)
    assert report.ok, "\n".join(map(str, report.mismatches[:10]))
    assert report.codes == workload.lengths.sum()


@by_name(LINEAR)
def test_packets_of_one_token_follow_one_another_every_k_cycles(config, builds):
    """Of one context, of several in turn, and in any order."""
    rng, k = np.random.default_rng(2), config.cycles_per_token
    image = random_image(config, rng, sets=1)
    for contexts in ([0] * 10, [i % config.contexts for i in range(12)],
                     rng.integers(config.contexts, size=12).tolist()):
        workload = tokens(config, rng, contexts)
        if not config.tuser_width:  # the bench writes the register too slowly
            workload = replace(workload, begins=np.ones_like(workload.begins))
        run = simulate(
            config, emitted(config), image, workload, simulator="compiled", build_dir=builds
        )
        assert compare(config, image, workload, run).ok
        assert np.diff(run.stamps["last_out"]).tolist() == [k] * (len(contexts) - 1)


@by_name(LINEAR)
def test_a_token_is_answered_after_what_is_published(config, builds):
    rng, k = np.random.default_rng(3), config.cycles_per_token
    image = random_image(config, rng, sets=1)
    cycles = manifest(config)["cycles"]
    for length in (1, 2, config.max_tokens):
        workload = random_workload(config, rng, 1, lengths=length, sets=1)
        run = simulate(
            config, emitted(config), image, workload, simulator="compiled", build_dir=builds
        )
        assert run.busy_cycles == length * k + cycles["isolated_overhead"]
        first = run.stamps["first_out"][0] - run.stamps["first_in"][0]
        assert first <= k + cycles["isolated_overhead"], "waits for the end of the packet"
    assert cycles["isolated_sequence"] == f"N*{k} + {cycles['isolated_overhead']}"
    assert cycles["least_per_token"] <= k


def test_a_token_is_answered_within_150_cycles():
    for queries in ("shared", "separate"):
        config = Config(mask="causal", contexts=64, queries=queries)
        top = Top(config)
        assert (config.head_dim, config.value_dim, config.code_bits) == (32, 32, 16)
        offered = config.flow.lookup_cycles  # until the first beat is taken
        assert offered + config.cycles_per_token + top.engine.latency <= 150


@by_name(ENGINES)
def test_the_whole_contract(config, builds):
    rng = np.random.default_rng(4)
    image, workload = random_image(config, rng), random_workload(config, rng, 12)
    plan = make_plan(
        config, image, workload, cycles=40_000 * config.cycles_per_token,
        phases=("contexts", "faults", "aborts", "scripts"),
    )
    result = verify(config, emitted(config), plan, build_dir=builds)
    assert result.ok, "\n".join(map(str, result.mismatches[:10]))
    happened = sum((phase.happened for phase in result.phases), start=Counter())
    assert happened["CONTEXT_LOST"] > 20 and happened["TOO_LONG"] > 5 and happened["ABORTED"] > 0


def test_a_sequence_may_come_piece_by_piece(builds):
    """The engine keeps its contexts from call to call, as a decoder needs it."""
    config, rng = ENGINES["contexts"], np.random.default_rng(5)
    image = random_image(config, rng)
    wholes = list(random_workload(config, rng, 3, lengths=9, sets=1).sequences())
    rtl = Rtl(config, emitted(config), image, builds)
    found = [[] for _ in wholes]
    for cut in ((0, 4), (4, 5), (5, 6), (6, 9)):
        pieces = [(0, x[slice(*cut)], v[slice(*cut)]) for _, x, v in wholes]
        answers = rtl.attend(Workload.from_sequences(
            pieces, contexts=np.array([4, 0, 2]), begins=np.full(3, int(cut[0] == 0))
        ))
        for into, answer in zip(found, answers, strict=True):
            into.append(answer)
    for pieces, (_, x, v) in zip(found, wholes, strict=True):
        np.testing.assert_array_equal(
            np.concatenate(pieces), attend(config, image, 0, x, v)[0]
        )
    rtl.close()


def test_which_beat_makes_a_packet_bad():
    config, before = ENGINES["contexts"], Continued(ENGINES["contexts"])
    every = config.input_beats
    assert before.room(Asked(1, False)) is None and before.room(Asked(5, True)) is None
    before.note(Asked(1, True), 12)
    assert before.room(Asked(1, False)) == 1 and before.room(Asked(1, True)) == 13
    for beats, known, room, error in (
        (every, False, None, (0, Error.UNKNOWN_SET)),
        (1, True, None, (0, Error.CONTEXT_LOST)),
        (every, True, 0, (0, Error.TOO_LONG)),
        (every + 1, True, 1, (every, Error.TOO_LONG)),
        (every, True, 1, None),
        (every - 1, True, 1, (every - 2, Error.MISALIGNED)),
    ):
        assert packet_error(config, beats, known, room) == error
