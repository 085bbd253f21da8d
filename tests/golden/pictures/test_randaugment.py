# SPDX-License-Identifier: Apache-2.0
from collections import Counter

import numpy as np
import pytest
from PIL import Image, ImageOps

from ecoformer.golden.pictures import randaugment
from ecoformer.golden.pictures.randaugment import OPERATIONS, rand_augment

FIXED = ("identity", "auto-contrast", "equalize")
"""Operations without a magnitude."""


def photograph(mode="RGB", size=(40, 30)):
    rows, columns = np.mgrid[: size[1], : size[0]]
    colours = np.stack([5 * columns + rows, 3 * rows + 90, 200 - 4 * columns], -1)
    colours[2:6, 2:9] = 220  # edges, for sharpness
    return Image.fromarray(colours.clip(20, 220).astype(np.uint8)).convert(mode)


def test_operations_are_those_of_the_paper():
    # Figure 2 of arXiv 1909.13719.
    assert {*OPERATIONS} == {
        "identity", "auto-contrast", "equalize", "rotate", "solarize", "color", "posterize",
        "contrast", "brightness", "sharpness", "shear-x", "shear-y", "translate-x", "translate-y",
    }


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_magnitude_grows_from_no_change(name, mode):
    image = photograph(mode)
    changes = []
    for share in (0.0, 0.5, 1.0):
        changed = OPERATIONS[name](image, share)
        assert (changed.mode, changed.size) == (image.mode, image.size)
        changes.append(np.abs(np.float64(changed) - np.float64(image)).mean())
    if name in FIXED:
        assert changes[0] == changes[1] == changes[2]
    elif not (name == "color" and mode == "L"):  # grey has no colour
        assert changes[0] == 0 and changes[1] <= changes[2] and changes[2] > 0.1


def test_largest_changes_are_those_of_autoaugment():
    image = photograph("L")
    pixels = np.array(image)
    assert np.array_equal(OPERATIONS["solarize"](image, 1.0), 255 - pixels)
    assert np.array_equal(OPERATIONS["posterize"](image, 1.0), pixels & 0xF0)
    assert np.array_equal(OPERATIONS["brightness"](image, -1.0), np.trunc(pixels * 0.1 + 1e-6))
    moved = np.array(OPERATIONS["translate-x"](image, 1.0))
    assert np.array_equal(moved[:, :22], pixels[:, 18:]) and (moved[:, 22:] == 128).all()
    turned = OPERATIONS["rotate"](image, 1.0)
    assert np.array_equal(turned, image.rotate(30, Image.Resampling.BILINEAR, fillcolor=128))
    sheared = np.array(OPERATIONS["shear-x"](image, 1.0))
    assert np.abs(np.int16(sheared[20, :33]) - pixels[20, 6:39]).max() <= 3  # 0.3 · 20 to the left
    assert np.array_equal(OPERATIONS["equalize"](image, 0.3), ImageOps.equalize(image))


def test_operations_are_drawn_evenly_with_replacement(monkeypatch):
    drawn = []
    for name in OPERATIONS:
        def note(image, share, name=name):
            drawn.append((name, share))
            return image
        monkeypatch.setitem(randaugment.OPERATIONS, name, note)
    rng = np.random.default_rng(0)
    for _ in range(2_000):
        rand_augment(photograph(), rng, 2, 9.0)
    names = Counter(name for name, _ in drawn)
    assert sum(names.values()) == 4_000
    assert all(abs(count - 4_000 / 14) < 5 * (4_000 / 14) ** 0.5 for count in names.values())
    assert {share for _, share in drawn} == {-0.9, 0.9}
    pairs = [drawn[i][0] == drawn[i + 1][0] for i in range(0, 4_000, 2)]
    assert 0.04 < np.mean(pairs) < 0.11  # 1 of 14

    drawn.clear()
    for _ in range(2_000):
        rand_augment(photograph(), rng, 1, 9.0, deviation=0.5, probability=0.5)
    shares = np.abs([share for _, share in drawn])
    assert 900 < len(drawn) < 1_100
    assert shares.max() == 1.0 and abs(np.median(shares) - 0.9) < 0.01


def test_equal_seeds_equal_pictures():
    one, two, other = (
        np.array(rand_augment(photograph(), np.random.default_rng(seed), 3)) for seed in (1, 1, 2)
    )
    assert np.array_equal(one, two) and not np.array_equal(one, other)
    same = rand_augment(photograph(), np.random.default_rng(1), 0)
    assert np.array_equal(same, photograph())
