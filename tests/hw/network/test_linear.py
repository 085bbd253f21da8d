# SPDX-License-Identifier: Apache-2.0
import random

import numpy as np
import pytest

from ecoformer.golden.integer.network.linear import linear
from ecoformer.hw.network.linear import Linear
from ecoformer.spec.network.layers import LinearShape
from ecoformer.spec.weights import WEIGHT_FORMATS
from tests.hw.bench import simulate, watch
from tests.hw.network.links import run_tokens


def make(shape, cycles, rng, extremes=False):
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
    return Linear(shape, shape.fold(cycles), weights, bias, shift)


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
