# SPDX-License-Identifier: Apache-2.0
"""Layers without weights: activation, positions, residual sums, pooling."""

import random

import numpy as np
import pytest

from ecoformer.golden.integer.network.linear import saturate
from ecoformer.hw.network.elementwise import Lookup, Positions
from ecoformer.hw.network.pool import Pool
from ecoformer.hw.network.residual import Residual
from ecoformer.spec.arithmetic import signed_width
from tests.hw.bench import idle, simulate
from tests.hw.network.links import run_tokens


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("width", [4, 8])
def test_lookup(width, stall):
    rng, limit = np.random.default_rng(0), 1 << (width - 1)
    values = rng.integers(-limit, limit, 2 * limit)
    tokens = np.arange(-limit, limit).reshape(4, -1)
    found, _ = run_tokens(
        Lookup(values, width, tokens.shape[1]), tokens.tolist(), 4, rng=random.Random(0),
        stall=stall,
    )
    assert found == values[tokens + limit].tolist()


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("count, elements", [(3, 5), (1, 4)])
def test_positions(count, elements, stall):
    rng, limit = np.random.default_rng(1), 1 << 11
    values = rng.integers(-limit, limit, (count, elements))
    tokens = rng.integers(-limit, limit, (4 * count, elements))
    found, _ = run_tokens(
        Positions(values, 12), tokens.tolist(), len(tokens), rng=random.Random(1), stall=stall
    )
    assert found == saturate(tokens + np.tile(values, (4, 1)), 12).tolist()


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("count, elements", [(1, 4), (5, 3), (7, 16)])
def test_pool(count, elements, stall):
    rng = np.random.default_rng(2)
    tokens = rng.integers(-128, 128, (4 * count, elements))
    tokens[:count], tokens[count : 2 * count] = -128, 127
    dut = Pool(elements, count, 8, signed_width(count << 7))
    found, _ = run_tokens(dut, tokens.tolist(), 4, rng=random.Random(2), stall=stall, slots=1)
    assert found == tokens.reshape(4, count, elements).sum(1).tolist()


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("tokens, lag", [(1, 1), (4, 2), (4, 4)])
def test_residual(tokens, lag, stall):
    """A branch that holds ``lag`` tokens, of which ``tokens`` may be in it."""
    elements, width, count = 5, 12, 12
    rng, dice = np.random.default_rng(3), random.Random(3)
    around, branch = rng.integers(-(1 << 11), 1 << 11, (2, count, elements))
    around[0], branch[0], around[1], branch[1] = -(1 << 11), -(1 << 11), 2047, 2047
    dut = Residual(elements, width, tokens)
    entered, found = [], []

    async def feed(ctx, link, rows, allowed):
        for number, row in enumerate(rows):
            while not (ctx.get(link.room) and allowed(number)):
                await ctx.tick()
            ctx.set(link.begin, 1)
            await ctx.tick()
            ctx.set(link.begin, 0)
            for element in row.tolist():
                await idle(ctx, dice, stall)
                ctx.set(link.element, element)
                ctx.set(link.valid, 1)
                await ctx.tick()
                ctx.set(link.valid, 0)
            if link is dut.skip:
                entered.append(number)

    async def skip(ctx):
        await feed(ctx, dut.skip, around, lambda number: True)

    async def come_back(ctx):
        await feed(ctx, dut.i, branch, lambda n: len(entered) >= min(n + lag, count))

    async def collect(ctx):
        ctx.set(dut.o.room, 1)
        async for _, _, valid, element in ctx.tick().sample(dut.o.valid, dut.o.element):
            if valid:
                found.append(element)

    async def bench(ctx):
        while len(found) < count * elements:
            await ctx.tick()
        await ctx.tick().repeat(20)

    simulate(dut, bench, background=[skip, come_back, collect])
    assert found == saturate(around + branch, width).reshape(-1).tolist()


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("elements, lanes", [(8, 2), (9, 4), (1, 3)])
def test_lookup_of_several_elements_at_once(elements, lanes, stall):
    rng = np.random.default_rng(5)
    values, tokens = rng.integers(-128, 128, 256), rng.integers(-128, 128, (6, elements))
    found, _ = run_tokens(
        Lookup(values, 8, elements, lanes), tokens.tolist(), 6, rng=random.Random(5), stall=stall
    )
    assert found == values[tokens + 128].tolist()
