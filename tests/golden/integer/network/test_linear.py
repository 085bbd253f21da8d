# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from ecoformer.golden.integer.network.linear import linear, requantise, saturate
from ecoformer.spec.choices import Weights
from ecoformer.spec.network.layers import LinearShape


def by_hand(shape, x, weights, bias, shift):
    """One output at a time, with Python's integers."""
    outputs = []
    for o in range(shape.outputs):
        total = sum(int(a) * int(w) for a, w in zip(x, weights[:, o])) + int(bias[o])
        if shift is not None:
            limit = 2 ** (shape.output_width - 1)
            total = max(-limit, min(limit - 1, total // 2 ** int(shift[o])))
        outputs.append(total)
    return outputs


@pytest.mark.parametrize("format", list(Weights))
@pytest.mark.parametrize("output_width", [0, 8, 16])
def test_a_layer_is_a_sum_a_shift_and_a_limit(format, output_width):
    rng = np.random.default_rng(1)
    shape = LinearShape(5, 40, 9, output_width, format)
    x = rng.integers(-256, 256, (3, 4, 5))
    x[0, 0], x[0, 1], x[0, 2] = -256, 255, 0
    weights = rng.choice(shape.weights.values, (5, 40))
    weights[:, 0], weights[:, 1] = shape.weights.values[0], shape.weights.values[-1]
    bias = rng.integers(-shape.max_bias, shape.max_bias + 1, 40)
    shift = rng.integers(0, 32, 40) if output_width else None
    if output_width:
        shift[:6] = 0, 0, 1, 31, 31, 3
    y = linear(shape, x, weights, bias, shift)
    assert y.shape == (3, 4, 40) and y.dtype == np.int64
    for place in np.ndindex(3, 4):
        assert y[place].tolist() == by_hand(shape, x[place], weights, bias, shift)


def test_halves_in_the_bias_round_to_nearest_and_ties_up():
    sums = np.array([[-12, -6, -4, -3, 0, 3, 4, 5, 11, 12]])
    shift = np.full(10, 3)
    rounded = requantise(sums + 4, shift, 8)
    assert rounded.tolist() == [[int(np.floor(n / 8 + 0.5)) for n in sums[0]]]


def test_what_does_not_fit_is_limited():
    numbers = np.array([-(1 << 40), -129, -128, 0, 127, 128, 1 << 40])
    assert saturate(numbers, 8).tolist() == [-128, -128, -128, 0, 127, 127, 127]


def test_the_widths_hold_every_sum():
    shape = LinearShape(7, 2, 8, 8)
    x, weights = np.full(7, -128), np.full((7, 2), -128)
    sums = linear(shape, x, weights, np.array([shape.max_bias, -shape.max_bias]))
    assert sums[0] == shape.max_sum + shape.max_bias == (1 << (shape.sum_width - 2)) * 7 // 4
    assert sums.max() < 1 << (shape.sum_width - 1)
