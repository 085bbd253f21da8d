# SPDX-License-Identifier: Apache-2.0
import random
from dataclasses import replace

import numpy as np
import pytest

from ecoformer.golden.integer.network.linear import linear
from ecoformer.hw.network.linear import StreamedLinear, linear_class
from ecoformer.spec.folding import Fold, Stream
from ecoformer.spec.network.layers import LinearShape
from ecoformer.spec.weights import WEIGHT_FORMATS
from tests.hw.bench import simulate, watch
from tests.hw.network.links import run_tokens


def make(shape, cycles, rng, extremes=False, lanes=1, fold=None):
    values = np.array(shape.weights.values)
    if extremes:
        values = values[[0, -1]]
    weights = rng.choice(values, (shape.inputs, shape.outputs)).astype(np.int64)
    bias = rng.integers(-shape.max_bias, shape.max_bias + 1, shape.outputs)
    bias[rng.random(shape.outputs) < 0.7] //= 64
    shift = None
    if shape.output_width:
        most = max(1, shape.product_width - shape.output_width + 2)
        shift = rng.integers(0, most, shape.outputs)
    fold = fold or shape.fold(cycles, lanes)
    return linear_class(fold)(shape, fold, weights, bias, shift)


def tokens_of(shape, rng, count):
    limit = 1 << (shape.input_width - 1)
    tokens = rng.integers(-limit, limit, (count, shape.inputs))
    tokens[0] = -limit
    tokens[1] = limit - 1
    return tokens


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("form", WEIGHT_FORMATS)
@pytest.mark.parametrize("inputs, outputs, cycles, widths", [
    (1, 1, 16, (8, 8)), (5, 3, 16, (8, 8)), (3, 40, 64, (9, 16)), (64, 16, 64, (8, 8)),
    (7, 16, 17, (16, 12)), (12, 5, 100, (14, 0)), (16, 1, 16, (8, 1)),
])
def test_equals_the_integer_model(inputs, outputs, cycles, widths, form, stall):
    shape = LinearShape(inputs, outputs, *widths, form)
    seed = 7
    rng = np.random.default_rng(seed)
    for extremes in (False, True):
        dut = make(shape, cycles, rng, extremes)
        tokens = tokens_of(shape, rng, 8)
        found, _ = run_tokens(
            dut, tokens.tolist(), len(tokens), rng=random.Random(seed), stall=stall,
            elements=outputs,
        )
        shift = dut.shift if shape.output_width else None
        wanted = linear(shape, tokens, dut.weights, dut.bias, shift)
        assert found == wanted.tolist()


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("inputs, outputs, fold", [
    (5, 3, Fold(5, 3, 16)), (64, 10, Fold(64, 10, 640)), (12, 5, Fold(12, 5, 20)),
    (9, 5, Stream(9, 5, 64, 2)), (1, 1, Fold(1, 1, 16)),
])
def test_adders_multiply_as_multipliers_do(inputs, outputs, fold, stall):
    shape = LinearShape(inputs, outputs, 14, 0, by_adders=True)
    assert not shape.multiplies and replace(shape, by_adders=False).multiplies
    rng = np.random.default_rng(8)
    for extremes in (False, True):
        dut = make(shape, 0, rng, extremes, fold=fold)
        tokens = tokens_of(shape, rng, 8)
        found, _ = run_tokens(
            dut, tokens.tolist(), 8, rng=random.Random(8), stall=stall, elements=outputs, slots=32
        )
        assert found == linear(shape, tokens, dut.weights, dut.bias, None).tolist()


@pytest.mark.parametrize("inputs, outputs, cycles", [(16, 16, 64), (8, 16, 16), (3, 40, 64)])
def test_takes_a_token_every_fold(inputs, outputs, cycles):
    """At full rate, also from a source and to a sink that keep a token for as long."""
    shape = LinearShape(inputs, outputs, 8, 8)
    rng = np.random.default_rng(0)
    dut = make(shape, cycles, rng)
    _, cycles_found = run_tokens(
        dut, tokens_of(shape, rng, 12).tolist(), 12, elements=outputs, hold=dut.fold.steps - 1
    )
    apart = np.diff(cycles_found)
    assert (apart[4:] == max(dut.fold.steps, inputs + 1)).all(), apart


@pytest.mark.parametrize("inputs, outputs, cycles, width", [(16, 16, 64, 8), (3, 40, 64, 0)])
def test_latency_is_as_stated(inputs, outputs, cycles, width):
    shape = LinearShape(inputs, outputs, 8, width)
    rng = np.random.default_rng(0)
    dut = make(shape, cycles, rng)
    begun, last = [], []

    async def bench(ctx):
        ctx.set(dut.o.room, 1)
        ctx.set(dut.i.begin, 1)
        await ctx.tick()
        ctx.set(dut.i.begin, 0)
        ctx.set(dut.i.valid, 1)
        for _ in range(inputs):
            await ctx.tick()
        ctx.set(dut.i.valid, 0)
        await ctx.tick().repeat(2 * cycles + 40)

    simulate(
        dut, bench, background=[watch(begun, dut.o.begin), watch(last, dut.o.valid)]
    )
    assert len(last) == outputs
    assert last[-1][0] - begun[0][0] == dut.latency


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("inputs, outputs, cycles, lanes", [
    (16, 48, 16, 4), (16, 16, 16, 4), (64, 16, 16, 4), (8, 27, 16, 2), (6, 3, 16, 4), (5, 2, 16, 3),
    (4, 64, 32, 2), (1, 9, 16, 2),
])
def test_several_elements_at_once(inputs, outputs, cycles, lanes, stall):
    """Sizes that lanes divide and that they do not; at full rate, a token every fold."""
    shape = LinearShape(inputs, outputs, 8, 8)
    rng = np.random.default_rng(3)
    dut = make(shape, cycles, rng, lanes=lanes)
    tokens = tokens_of(shape, rng, 12)
    found, cycles_found = run_tokens(
        dut, tokens.tolist(), 12, rng=random.Random(4), stall=stall, elements=outputs,
        hold=dut.fold.steps - 1, slots=16,
    )
    assert found == linear(shape, tokens, dut.weights, dut.bias, dut.shift).tolist()
    assert dut.fold.steps <= cycles
    if not stall:
        apart = np.diff(cycles_found)
        assert (apart[5:] == max(dut.fold.steps, -(-inputs // lanes) + 1)).all(), apart


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("form", WEIGHT_FORMATS)
@pytest.mark.parametrize("inputs, outputs, lanes", [
    (64, 16, 2), (16, 16, 4), (9, 9, 1), (9, 5, 2), (7, 2, 4), (1, 1, 1),
])
def test_elements_are_worked_on_as_they_come(inputs, outputs, lanes, form, stall):
    """Pauses between the elements of a token, and none between tokens."""
    shape = LinearShape(inputs, outputs, 8, 12, form)
    rng = np.random.default_rng(6)
    dut = make(shape, 0, rng, extremes=True, fold=Stream(inputs, outputs, 64, lanes))
    assert isinstance(dut, StreamedLinear)
    tokens = tokens_of(shape, rng, 10)
    found, cycles = run_tokens(
        dut, tokens.tolist(), 10, rng=random.Random(6), stall=stall, elements=outputs, slots=32
    )
    assert found == linear(shape, tokens, dut.weights, dut.bias, dut.shift).tolist()
    if not stall:
        assert (np.diff(cycles) == -(-inputs // lanes) + 1).all()
