# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from ecoformer.golden.integer.network.linear import linear
from ecoformer.golden.quantize.linear import quantise_linear, quantise_scores
from ecoformer.spec.choices import Weights
from ecoformer.spec.network.layers import MAX_SHIFT, LinearShape


def draw(shape, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.integers(-128, 128, (400, shape.inputs))
    matrix = rng.normal(0, 0.02, (shape.inputs, shape.outputs))
    return x, matrix * rng.uniform(0.05, 1, shape.outputs), rng.normal(0, 1, shape.outputs)


@pytest.mark.parametrize("zero", [0, 90])
@pytest.mark.parametrize(
    "format, error", [("int8", 0.01), ("pow2", 0.2), ("ternary", 0.6)]
)
def test_integers_times_the_scale_are_the_float_layer(format, error, zero):
    shape = LinearShape(64, 20, 8, 16, Weights(format))
    x, matrix, bias = draw(shape)
    scale = np.abs(matrix).max()  # as coarse as ternary weights of 1 need it
    numbers = quantise_linear(shape, matrix, bias, scale, zero)
    assert shape.weights.holds(numbers["weights"])
    assert {array.dtype for array in numbers.values()} == {np.dtype(np.int64)}
    wanted = (x + zero) @ matrix + bias
    got = linear(shape, x, **numbers) * scale
    assert np.sqrt(np.square(got - wanted).mean()) < error * wanted.std() + scale / 2


def test_every_output_may_have_its_own_scale():
    shape = LinearShape(64, 20, 8, 8)
    x, matrix, bias = draw(shape)
    wanted = x @ matrix + bias
    scale = np.abs(wanted).max(axis=0) / 127
    got = linear(shape, x, **quantise_linear(shape, matrix, bias, scale)) * scale
    assert (np.abs(got - wanted).max(axis=0) < 2 * scale).all()


def test_at_most_one_bit_of_the_weights_is_lost():
    shape = LinearShape(64, 200, 8, 16)
    _, matrix, bias = draw(shape)
    weights = quantise_linear(shape, matrix, bias, np.abs(matrix).max() / 64)["weights"]
    largest = np.abs(weights).max(axis=0)
    assert largest.min() >= 63 and largest.max() == 127


def test_a_coarse_format_saturates_where_that_fits_better():
    shape = LinearShape(64, 1, 8, 16, Weights.TERNARY)
    matrix = np.full((64, 1), 0.24)
    matrix[0] = 1.0
    numbers = quantise_linear(shape, matrix, np.zeros(1), 1.0)
    assert numbers["shift"].tolist() == [2] and (numbers["weights"] == 1).all()


def test_outputs_without_weights_have_a_bias_that_fits():
    shape = LinearShape(4, 3, 8, 16)
    matrix, bias = np.zeros((4, 3)), np.array([0.0, 5.0, -1_000.0])
    numbers = quantise_linear(shape, matrix, bias, 1.0)
    assert (numbers["shift"] <= MAX_SHIFT).all()
    assert np.abs(numbers["bias"]).max() <= shape.max_bias
    assert linear(shape, np.zeros((1, 4), dtype=np.int64), **numbers).tolist() == [[0, 5, -1_000]]


def test_rounding_is_to_nearest():
    shape = LinearShape(1, 1, 8, 8)
    numbers = quantise_linear(shape, np.array([[0.5]]), np.array([0.0]), 1.0)
    x = np.arange(-9, 10)[:, None]
    y = linear(shape, x, **numbers)
    assert y[:, 0].tolist() == np.floor(x[:, 0] * 0.5 + 0.5).astype(int).tolist()


def test_scores_have_one_scale():
    shape = LinearShape(16, 10, 14, 0)
    x, matrix, bias = draw(shape)
    numbers, scale = quantise_scores(shape, matrix, bias)
    assert numbers.keys() == {"weights", "bias"} and np.abs(numbers["weights"]).max() == 127
    wanted = x @ matrix + bias
    got = linear(shape, x, **numbers) * scale
    assert np.sqrt(np.square(got - wanted).mean()) < 0.01 * wanted.std()
    numbers, scale = quantise_scores(shape, 0 * matrix, bias)
    assert not numbers["weights"].any() and scale == 1
