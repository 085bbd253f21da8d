# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest
import torch

from benchmarks.hashes import Cells, mean_and_error, table
from benchmarks.swaps import SWAPS, TASKS, hadamard_rows
from ecoformer.golden.learn.drawn import DRAWN

SCORES = {"softmax": 1.0, "mean": 0.2, "none": 0.1}


def test_mean_and_error_by_hand():
    mean, error = mean_and_error([[0.5, 0.7], [0.9, 0.9]])
    assert mean == pytest.approx(0.75)
    # Of the means 0.6 ± 0.1 and 0.9 ± 0.
    assert error == pytest.approx(0.1 / 2)
    assert mean_and_error([[0.5], [0.7]]) == (pytest.approx(0.6), 0.0)
    values = np.random.default_rng(0).random(5)
    assert mean_and_error([values])[1] == pytest.approx(values.std(ddof=1) / 5**0.5)


def networks():
    first, second = ("linear", "random"), ("kernelized", "network")
    return [
        {
            "scores": SCORES | {"limit": limit},
            "found": {
                (*first, 8): [0.6, 0.6], (*first, 16): [0.8, 0.9],
                (*second, 8): [0.7, 0.7], (*second, 16): [limit - 0.01, limit - 0.01],
            },
        }
        for limit in (0.95, 0.97)
    ]


def test_rows_have_controls_first_and_what_is_lost_last():
    header, rows, headline = table(networks(), [8, 16])
    assert header == [
        "attention", "hash learner", "without codes", "b = 8", "b = 16", "lost at b = 16"
    ]
    assert [row[0] for row in rows[:4]] == [
        "softmax", "mean of values", "no attention", "limit of many bits"
    ]
    assert [row[2] for row in rows] == ["100.0%", "20.0%", "10.0%", "96.0%", "", ""]
    assert all(len(row) == len(header) for row in rows)
    assert rows[4][3:] == ["60.0% ± 0.0%", "85.0% ± 3.5%", "11.00 ± 3.54 points"]
    assert rows[5][3:] == ["70.0% ± 0.0%", "95.0% ± 0.0%", "1.00 ± 0.00 points"]
    assert rows[5][:2] == ["kernelized hash", "network"]
    assert headline == (
        "limit 96.0%, mean of values 20.0%, 16 bits lose 1.00 ± 0.00 points (kernelized, network)"
    )


def test_without_sixteen_bits_nothing_is_judged_there():
    found = networks()
    for network in found:
        network["found"] = {key: v for key, v in network["found"].items() if key[2] == 8}
    header, rows, headline = table(found, [8])
    assert header[-1] == "b = 8" and "bits lose" not in headline
    assert all(len(row) == len(header) for row in rows)


def test_a_cell_is_measured_once(tmp_path):
    path, calls = tmp_path / "task-0" / "cells.json", []
    path.parent.mkdir()

    def measure():
        calls.append(1)
        return 0.5

    assert Cells(path).get("a", measure) == Cells(path).get("a", measure) == 0.5
    assert len(calls) == 1 and json.loads(path.read_text()) == {"a": 0.5}


@pytest.mark.parametrize("rounds", [1, 2])
def test_hadamard_rows_are_a_rotation(rounds):
    one, same, other = (
        hadamard_rows(12, 8, rounds, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(one, same) and not torch.equal(one, other)
    for group in one.split(8):
        torch.testing.assert_close(group @ group.mT, torch.eye(len(group)))
    if rounds == 1:
        torch.testing.assert_close(one.abs(), torch.full((12, 8), 8**-0.5))


def test_names_of_swaps_differ():
    assert len({(swap.hash, swap.learner) for swap in SWAPS}) == len(SWAPS)


def test_every_task_is_drawn_and_fits_its_network():
    assert set(TASKS) <= set(DRAWN)
    for name, task in TASKS.items():
        digits = (np.zeros((20, 28, 28), np.uint8), np.arange(20) % 10)
        own = digits if DRAWN[name].of_digits else ()
        images, _ = DRAWN[name].draw(2, np.random.default_rng(0), *own)
        size = task.network.image_size
        assert images.shape == (2, task.network.channels, size, size)
        assert task.network.classes == DRAWN[name].classes
