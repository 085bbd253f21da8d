# SPDX-License-Identifier: Apache-2.0
import random
from itertools import product

import numpy as np
import pytest

from ecoformer.spec.folding import Fold

EXTENTS = (1, 2, 3, 5, 7, 8, 13, 16, 31, 32)
CYCLES = (1, 2, 4, 16, 64, 1_024)


def folds(seed):
    rng = random.Random(seed)
    yield from (Fold(*shape) for shape in product(EXTENTS, EXTENTS, CYCLES))
    for _ in range(60):
        yield Fold(rng.randint(1, 128), rng.randint(1, 128), 1 << rng.randint(0, 10))


@pytest.mark.parametrize("seed", [0])
def test_every_pair_is_worked_on_exactly_once(seed):
    for fold in folds(seed):
        seen = [
            pair for step in range(fold.steps) for pair in product(*fold.block(step))
        ]
        assert len(seen) == fold.inputs * fold.outputs, fold
        assert set(seen) == set(product(range(fold.inputs), range(fold.outputs))), fold


@pytest.mark.parametrize("seed", [1])
def test_blocks_fit_the_lanes_and_steps_fit_the_cycles(seed):
    for fold in folds(seed):
        assert fold.steps == fold.input_steps * fold.output_steps <= fold.cycles
        assert fold.lanes == fold.input_lanes * fold.output_lanes
        for step in range(fold.steps):
            inputs, outputs = fold.block(step)
            assert 0 < len(inputs) <= fold.input_lanes, (fold, step)
            assert 0 < len(outputs) <= fold.output_lanes, (fold, step)


@pytest.mark.parametrize("seed", [2])
def test_an_output_block_is_complete_every_input_steps_steps(seed):
    for fold in folds(seed):
        for step in range(fold.steps):
            inputs, outputs = fold.block(step)
            assert inputs.start == step % fold.input_steps * fold.input_lanes
            assert outputs.start == step // fold.input_steps * fold.output_lanes


@pytest.mark.parametrize("seed", [3])
def test_no_cut_has_fewer_lanes_or_as_few_with_more_inputs(seed):
    for fold in folds(seed):
        best = min(
            (inputs * outputs, -inputs)
            for inputs in range(1, fold.inputs + 1)
            for outputs in range(1, fold.outputs + 1)
            if -(-fold.inputs // inputs) * -(-fold.outputs // outputs) <= fold.cycles
        )
        assert (fold.lanes, -fold.input_lanes) == best, fold


def test_known_cuts():
    flat = Fold(16, 32, 1)
    assert (flat.input_lanes, flat.output_lanes, flat.steps) == (16, 32, 1)
    serial = Fold(3, 5, 16)
    assert (serial.input_lanes, serial.output_lanes, serial.steps) == (1, 1, 15)
    assert serial.block(4) == (range(1, 2), range(1, 2))
    ragged = Fold(5, 1, 2)
    assert [ragged.block(step) for step in range(2)] == [
        (range(3), range(1)),
        (range(3, 5), range(1)),
    ]


@pytest.mark.parametrize("seed", [4])
def test_of_as_many_lanes_those_of_the_fewest_bits_win(seed):
    rng = random.Random(seed)
    wide = 0
    for _ in range(200):
        outputs = rng.randint(1, 40)
        shape = rng.randint(1, 40), outputs, rng.randint(outputs, 128)
        bits = rng.randint(1, 20), rng.randint(1, 40)
        fold = Fold(*shape, 1, *bits)
        assert fold.output_lanes <= fold.input_steps, fold
        for cut in fold._cuts():
            assert fold.lanes <= cut[0] * cut[1], fold
            if fold.lanes == cut[0] * cut[1]:
                own = fold.input_lanes, fold.output_lanes
                assert np.dot(own, bits) <= np.dot(cut, bits), fold
        wide += fold.output_lanes > 1
    assert wide > 20
    # Ternary weights, elements of 8 bits.
    fold = Fold(64, 128, 128, 1, 8, 30)
    assert (fold.input_lanes, fold.output_lanes, fold.steps) == (16, 4, 128)


@pytest.mark.parametrize("granule", [1, 2, 3, 4])
@pytest.mark.parametrize("cycles", [24, 32, 64])
@pytest.mark.parametrize("inputs, outputs", [(1, 1), (16, 48), (64, 16), (5, 27), (16, 9)])
def test_lanes_come_in_granules(inputs, outputs, cycles, granule):
    fold = Fold(inputs, outputs, cycles, granule)
    for lanes, extent in ((fold.input_lanes, inputs), (fold.output_lanes, outputs)):
        assert lanes == extent or lanes % granule == 0 and lanes < extent
    assert fold.steps <= cycles
    assert fold.lanes >= Fold(inputs, outputs, cycles).lanes
    # A block's results leave before those of the next.
    assert granule == 1 or -(-fold.output_lanes // granule) <= fold.input_steps
    seen = [fold.block(step) for step in range(fold.steps)]
    assert {(i, o) for a, b in seen for i in a for o in b} == {
        (i, o) for i in range(inputs) for o in range(outputs)
    }
