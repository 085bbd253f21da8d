# SPDX-License-Identifier: Apache-2.0
from fractions import Fraction
from math import floor, isqrt, sqrt

import numpy as np
import pytest

from ecoformer.golden.integer.network.norm import norm
from ecoformer.spec.network.layers import NormShape

HALF = Fraction(1, 2)


def by_hand(shape, token, epsilon):
    """One token in exact fractions; the table's entry from its formula."""
    scale = 2**shape.mean_shift
    mean = floor(sum(token) * Fraction(floor(Fraction(scale, shape.width) + HALF), scale) + HALF)
    if shape.mean_shift == 0:
        mean = sum(token)
    differences = [x - mean for x in token]
    squares = sum(d * d for d in differences) + epsilon
    exponent = 1
    while 4**exponent <= squares:
        exponent += 1
    index = squares * 1024 // 4**exponent
    root = (isqrt(4 * 2**20 * 2048 // (2 * index + 1)) + 1) // 2  # 2^10·√(1024/(index + ½))
    unit = 2 ** (exponent + 10 - shape.fraction)
    high = 2 ** (shape.output_width - 1) - 1
    return [max(-high - 1, min(high, floor(Fraction(d * root, unit) + HALF))) for d in differences]


def tokens(shape, rng):
    limit = 1 << (shape.input_width - 1)
    width = shape.width
    drawn = [rng.integers(-limit, limit, width) for _ in range(6)]
    drawn += [rng.integers(-3, 4, width), rng.normal(0, limit / 6, width).astype(np.int64)]
    drawn += [np.full(width, value) for value in (-limit, limit - 1, 0, 1)]
    edges = np.full(width, -limit)
    edges[: width // 2] = limit - 1
    spike = np.zeros(width, dtype=np.int64)
    spike[0] = limit - 1
    return np.clip(np.array([*drawn, edges, -spike, spike]), -limit, limit - 1)


@pytest.mark.parametrize("input_width", [8, 16, 18])
@pytest.mark.parametrize("width", [1, 2, 3, 6, 48, 64, 1_000, 1_024])
def test_the_bits_are_those_of_the_formulas(width, input_width):
    shape = NormShape(width, input_width, 8)
    x = tokens(shape, np.random.default_rng(width))
    for epsilon in (1, 77, shape.max_epsilon):
        y = norm(shape, x[None], np.array(epsilon))[0]
        assert y.tolist() == [by_hand(shape, token, epsilon) for token in x.tolist()]


@pytest.mark.parametrize("width", [6, 48, 64, 192])
def test_an_output_is_the_float_norm_within_its_rounding(width):
    shape, rng = NormShape(width, 16, 8), np.random.default_rng(0)
    x = rng.normal(300, 3_000, (200, width)).astype(np.int64)
    y = norm(shape, x, 10)
    difference = x - x.mean(-1, keepdims=True)
    exact = difference / np.sqrt(np.square(difference).sum(-1, keepdims=True) + 10)
    exact = np.clip(exact * 2**shape.fraction, -128, 127)
    # Half a step, and 0.15 % of up to 128 steps: half a cell of the table, and its rounding.
    assert np.abs(y - exact).max() < 0.5 + 0.2
    assert np.corrcoef(y.ravel(), exact.ravel())[0, 1] > 0.9995


def test_equal_elements_have_a_norm_of_zero():
    shape = NormShape(48, 16, 8)
    for value in (-(1 << 15), -1, 0, 1, (1 << 15) - 1):
        assert not norm(shape, np.full((1, 48), value), 1).any()


def test_a_large_epsilon_damps():
    shape = NormShape(8, 16, 8)
    x = np.array([[1, -1, 2, -2, 3, -3, 4, -4]]) * 100
    small, large = norm(shape, x, 1), norm(shape, x, 10**9)
    assert np.abs(small).max() == round(400 / sqrt(60) / 100 * 2**shape.fraction)
    assert np.abs(large).max() == round(400 / sqrt(10**9) * 2**shape.fraction) == 1
