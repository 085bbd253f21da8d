# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from ecoformer.sim.rtl import Rtl
from ecoformer.sim.schedule import bound
from ecoformer.sim.stimulus import random_image, random_workload
from ecoformer.spec.config import Config
from tests.emitted import emitted


@pytest.mark.parametrize(
    "lengths, banks, slots",
    [
        ([], 2, 0),
        ([1], 2, 2),
        ([5], 2, 10),
        ([5, 5, 5], 2, 20),  # keys of one under the queries of the one before
        ([5, 5, 5], 8, 20),
        ([1, 9], 2, 19),
        ([9, 1], 2, 19),
        # two banks: each step costs the longer of two neighbours
        ([2, 9, 2, 9], 2, 2 + 9 + 9 + 9 + 9),
    ],
)
def test_small_cases_by_hand(lengths, banks, slots):
    assert bound(lengths, banks, 1) == slots
    assert bound(lengths, banks, 16) == 16 * slots


def test_equal_lengths_take_a_slot_per_token_and_one_sequence_more():
    assert bound([7] * 30, 2, 4) == 4 * 7 * 31


def test_more_banks_never_cost_and_never_beat_a_slot_per_token():
    lengths = np.random.default_rng(0).integers(1, 40, 60).tolist()
    costs = [bound(lengths, banks, 1) for banks in range(2, 9)]
    assert costs == sorted(costs, reverse=True) and costs[0] > costs[-1]
    assert costs[-1] >= sum(lengths) + lengths[-1]


def search(lengths, banks, ring):
    """Slots of the best of all schedules, by breadth-first search over (keys, queries) done."""
    ends = np.cumsum(lengths).tolist()
    total, slots, states = ends[-1], 0, {(0, 0)}
    while (total, total) not in states:
        slots += 1
        following = set()
        for keys, queries in states:
            complete = sum(end <= keys for end in ends)
            for query in {0, int(queries < (ends[complete - 1] if complete else 0))}:
                done = sum(end <= queries + query for end in ends)
                room = keys + 1 not in ends or complete - done < banks - 1
                fits = keys - queries - query < ring
                for key in {0, int(keys < total and room and fits)}:
                    following.add((keys + key, queries + query))
        states = following
    return slots


@pytest.mark.parametrize("seed", range(12))
def test_no_schedule_at_all_is_better(seed):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 8, rng.integers(1, 7)).tolist()
    banks, ring = int(rng.integers(2, 5)), max(lengths) + int(rng.integers(3))
    assert bound(lengths, banks, 1, max_tokens=ring) == search(lengths, banks, ring)


@pytest.fixture(scope="module", params=[(1, 2), (1, 4), (4, 2)], ids=["k=1", "4 banks", "k=4"])
def rtl(request, builds):
    k, banks = request.param
    config = Config(
        head_dim=2, value_dim=2, code_bits=4, anchors=2, max_tokens=256, cycles_per_token=k,
        state_banks=banks, parameter_sets=1, bus_bytes=4,
    )
    return Rtl(config, emitted(config), random_image(config, np.random.default_rng(0)), builds)


def measure(rtl, lengths):
    rng = np.random.default_rng(1)
    drawn = [random_workload(rtl.config, rng, 1, lengths=int(length)) for length in lengths]
    rtl.attend(type(drawn[0]).from_sequences(s for one in drawn for s in one.sequences()))
    return rtl.run


@pytest.mark.parametrize("kind", ["two lengths", "uniform"])
def test_mixed_lengths_keep_to_the_best_schedule(rtl, kind):
    rng = np.random.default_rng(3)
    lengths = rng.choice([49, 256], 60) if kind == "two lengths" else rng.integers(49, 257, 60)
    run = measure(rtl, lengths)
    assert run.bound_cycles <= run.busy_cycles <= 1.02 * run.bound_cycles


def test_equal_lengths_take_exactly_k_cycles_per_token(rtl):
    run = measure(rtl, [100] * 8)
    np.testing.assert_array_equal(
        np.diff(run.stamps["first_out"][1:]), 100 * rtl.config.cycles_per_token
    )
