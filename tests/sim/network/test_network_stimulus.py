# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from ecoformer.golden.integer.network.forward import trace
from ecoformer.sim.network.stimulus import random_image, random_pixels
from ecoformer.spec.arithmetic import signed_range
from ecoformer.spec.config import Config
from ecoformer.spec.network.design import NetworkDesign
from tests.golden.integer.network.designs import DESIGNS

DEMO = NetworkDesign(
    image_size=28, channels=1, patch=4, width=64, heads=2, depth=4, hidden=128, classes=10,
    attention=Config(head_dim=32, value_dim=32, max_tokens=64),
)


@pytest.mark.parametrize("weights", ["int8", "pow2", "ternary"])
@pytest.mark.parametrize("residual_width", [12, 16])
def test_numbers_differ_and_few_are_limits_or_zero(weights, residual_width):
    design = replace(DEMO, weights=weights, residual_width=residual_width)
    image, pixels = random_image(design, 7), random_pixels(design, 8, 6)
    for name, tensor in trace(design, image, pixels):
        part = name.split(".")[-1]
        width, least = 8, 1 / 200
        if part in ("stem", "out", "down", "residual1", "residual2"):
            width, least = residual_width, 1 / 1_000
        if part == "attention":
            width = design.attention.output_width
        if part in ("pooled", "scores"):
            assert len(np.unique(tensor)) > tensor.size / 4
            continue
        assert np.isin(tensor, signed_range(width)).mean() < 0.1, name
        assert (tensor == 0).mean() < 0.2, name
        assert tensor.std(axis=(0, 1)).mean() > least * (1 << width), name  # from token to token


@pytest.mark.parametrize("name", DESIGNS)
def test_the_same_seed_gives_the_same_image(name):
    design = DESIGNS[name]
    for extremes in (False, True):
        one, same, other = (random_image(design, s, extremes=extremes) for s in (1, 1, 2))
        assert all(np.array_equal(one.arrays[n], same.arrays[n]) for n in one.arrays)
        assert any(not np.array_equal(one.arrays[n], other.arrays[n]) for n in one.arrays)


def test_extremes_are_extreme_and_leave_something_lively():
    image = random_image(DEMO, 3, extremes=True)
    assert {0, 31} <= set(image.arrays["blocks.1.up.shift"].tolist())
    assert {-128, 127} <= set(image.arrays["stem.weights"][0].tolist())
    largest = DEMO.linears["blocks.0.down"].max_bias
    assert np.abs(image.arrays["blocks.0.down.bias"]).max() == largest
    scores = dict(trace(DEMO, image, random_pixels(DEMO, 0, 4)))["scores"]
    assert len(np.unique(scores)) > scores.size / 2


def test_pixels_have_a_black_and_a_white_image():
    pixels = random_pixels(DEMO, 0, 4)
    assert pixels.shape == (4, 1, 28, 28) and pixels.dtype == np.uint8
    assert not pixels[1].any() and (pixels[2] == 255).all() and len(np.unique(pixels[3])) > 200
    assert random_pixels(DEMO, 0, 1).shape == (1, 1, 28, 28)
    assert not random_pixels(DEMO, 0, 2)[1].any()


def test_torch_is_not_needed():
    code = (
        "import sys, ecoformer.sim.network.stimulus, ecoformer.golden.integer.network.forward; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
