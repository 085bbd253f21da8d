# SPDX-License-Identifier: Apache-2.0
"""Tasks that need attention: every label is found again by a plain search of the example."""

import numpy as np
import pytest
import torch

from ecoformer.golden.learn import drawn, frames, recall
from ecoformer.golden.learn.data import load
from ecoformer.golden.learn.drawn import DRAWN
from ecoformer.golden.learn.largest import QUERIES

SIZES = {"train": 80, "validation": 10, "held_out": 60}


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(drawn, "PARTS", SIZES)
    monkeypatch.setattr("ecoformer.golden.learn.data.PARTS", SIZES)


@pytest.fixture(params=DRAWN)
def name(request):
    return request.param


def examples(split):
    return {image.numpy().tobytes() for image in split.images}


def test_parts_have_their_sizes_and_nothing_in_common(name):
    found = load(name, seed=3)
    parts = [getattr(found, part) for part in SIZES]
    assert [len(part) for part in parts] == list(SIZES.values())
    assert len(set.union(*map(examples, parts))) == sum(SIZES.values())
    for part in parts:
        assert part.images.dtype == torch.uint8 and part.labels.dtype == torch.int64
    assert set(found.train.labels.tolist()) == set(range(found.classes))


def test_seed_draws_all_but_the_held_out_part(name):
    one, same, other = (load(name, seed=seed) for seed in (3, 3, 4))
    for part in SIZES:
        a, b, c = (getattr(found, part) for found in (one, same, other))
        assert torch.equal(a.images, b.images) and torch.equal(a.labels, b.labels)
        assert torch.equal(a.images, c.images) == (part == "held_out")


def test_no_seed_draws_the_held_out_part(name):
    from ecoformer.golden.learn.data import SPLIT_SEED

    found = load(name, seed=SPLIT_SEED)
    assert not examples(found.train) & examples(found.held_out)


def read_pairs(image):
    """Values by key, and the keys that are asked for, of a sequence of pairs and queries."""
    image = image.numpy().reshape(recall.CHANNELS, -1).T
    assert set(np.unique(image)) <= {0, 255}
    pairs, queries = {}, []
    for token in image > 0:
        (key,) = np.flatnonzero(token[: recall.KEYS])
        value = np.flatnonzero(token[recall.KEYS :])
        if len(value):
            assert key not in pairs
            (pairs[key],) = value
        else:
            queries.append(key)
    return pairs, queries


@pytest.mark.parametrize("task, asked", [("recall", 1), ("largest", QUERIES)])
def test_labels_of_sequences(task, asked):
    found = load(task, seed=3)
    for image, label in zip(found.train.images, found.train.labels.tolist()):
        pairs, queries = read_pairs(image)
        assert len(queries) == len(set(queries)) == asked
        assert len(pairs) == 16 - asked
        assert max(pairs[key] for key in queries) == label


def test_no_label_of_largest_is_a_better_guess():
    _, labels = DRAWN["largest"].draw(20_000, np.random.default_rng(0))
    shares = np.bincount(labels) / len(labels)
    assert abs(shares - 0.1).max() < 0.01


def known_digits(count):
    """Digits whose every pixel says which one it is, and what they show."""
    images = np.repeat(np.arange(1, count + 1, dtype=np.uint8), 28 * 28).reshape(count, 28, 28)
    return images, np.arange(1, count + 1) % 10


def cells_of(image):
    """The cells of a canvas, row by row."""
    starts = range(0, frames.SIDE, frames.CELL)
    return [image[i : i + frames.CELL, j : j + frames.CELL] for i in starts for j in starts]


def frame_of(cell):
    """Shades of the four sides; a side is all of one shade, but for corners."""
    sides = cell[0, 1:-1], cell[-1, 1:-1], cell[:, 0], cell[:, -1]
    assert all(len(np.unique(side)) == 1 for side in sides)
    return tuple(int(side[0]) for side in sides)


def test_label_of_frames_is_the_digit_with_the_frame_of_the_empty_cell():
    images, labels = frames.draw(300, np.random.default_rng(0), *known_digits(40))
    assert images.shape == (300, 1, frames.SIDE, frames.SIDE) and images.dtype == np.uint8
    empty_cells, seen = [], set()
    for image, label in zip(images[:, 0], labels):
        cells = cells_of(image)
        (empty,) = [i for i, cell in enumerate(cells) if not cell[1:-1, 1:-1].any()]
        found = {frame_of(cell): i for i, cell in enumerate(cells) if i != empty}
        assert len(found) == 8  # all different
        asked = cells[found[frame_of(cells[empty])]]
        assert asked[7, 7] % 10 == label
        empty_cells.append(empty)
        seen |= found.keys()
    assert np.bincount(empty_cells, minlength=9).min() > 10
    assert len(seen) == frames.FRAMES == 81
    assert np.bincount(labels, minlength=10).min() > 10


def test_frames_hold_digits_of_their_own_part_at_half_their_size():
    whole, found = load("mnist", seed=3), load("frames", seed=3)
    own = {part: small(getattr(whole, part)) for part in SIZES}
    for part in SIZES:
        others = set().union(*(own[other] for other in SIZES if other != part))
        for image in getattr(found, part).images[:5, 0].numpy():
            shown = {inside(cell) for cell in cells_of(image) if inside(cell) != EMPTY}
            assert len(shown) == 8 and shown <= own[part] and not shown & others


def inside(cell):
    """A cell without its frame."""
    return cell[1:-1, 1:-1].tobytes()


EMPTY = bytes((frames.CELL - 2) ** 2)


def small(split):
    """Digits at half their size, each pixel the mean of four, without their edges."""
    means = torch.nn.functional.avg_pool2d(split.images.double(), 2)[:, 0]
    return {inside(cell) for cell in (means + 0.5).floor().to(torch.uint8).numpy()}
