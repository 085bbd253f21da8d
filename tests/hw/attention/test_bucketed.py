# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
import random
from dataclasses import replace

import numpy as np
import pytest

from ecoformer.golden.integer.dataflows.linear import accumulate
from ecoformer.hw.attention.bucketed import BucketedCore, BucketedState
from tests.hw.attention.test_linear import draw, run, shape, shown
from tests.hw.bench import simulate

SHAPES = [
    replace(config, dataflow="bucketed")
    for config in (
        shape(1, 1, 1, max_tokens=3),
        shape(4, 3, 1, value_width=5),
        shape(5, 3, 2, state_banks=3),
        shape(2, 11, 8),
        shape(13, 2, 4, max_tokens=20),
        shape(9, 5, 64),
    )
]


def groups(config, code):
    """Rows of every group of a code; the last may have fewer."""
    return [code[i : i + config.group_bits] for i in range(0, len(code), config.group_bits)]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("config", SHAPES, ids=shown)
def test_a_query_gets_the_signed_rows_of_its_group(config, seed):
    """Every sequence alone: what is left of the ones before must not count."""
    rng = np.random.default_rng(seed)
    dut = BucketedState(config, config.state_banks)
    fold = config.state_fold
    lengths = [config.max_tokens, 1, *rng.integers(1, config.max_tokens + 1, 4)]

    def number(code):
        return sum(1 << r for r, h in enumerate(code) if h > 0)

    def visit(ctx, step):
        ctx.set(dut.step, step)
        ctx.set(dut.block, 1 << step % fold.input_steps)

    async def fill(ctx, codes, values):
        ctx.set(dut.claim, 1)
        await ctx.tick()
        ctx.set(dut.claim, 0)
        ctx.set(dut.accumulate, 1)
        for t, (code, value) in enumerate(zip(codes, values, strict=True)):
            ctx.set(dut.first, t == 0)
            ctx.set(dut.code, number(code))
            for step in range(fold.steps):
                visit(ctx, step)
                elements = value[list(fold.block(step)[1])].tolist()
                ctx.set(dut.values, elements + [0] * (fold.output_lanes - len(elements)))
                done = step == fold.steps - 1
                ctx.set(dut.done, done)
                ctx.set(dut.last, done and t == len(codes) - 1)
                await ctx.tick()
        ctx.set(dut.accumulate, 0)
        ctx.set(dut.last, 0)
        waited = 1
        while not ctx.get(dut.ready):
            await ctx.tick()
            waited += 1
        assert waited == config.transform_cycles
        await ctx.tick()

    async def ask(ctx, code, state):
        padded = groups(config, code)
        ctx.set(dut.query, number(code))
        for step in range(fold.steps):
            visit(ctx, step)
            await ctx.tick().repeat(2)
            inputs, outputs = fold.block(step)
            for i, group in enumerate(inputs):
                rows = state[group * config.group_bits :][: len(padded[group])]
                sums = np.array(padded[group]) @ rows
                whole = len(padded[group]) == config.group_bits
                sign = 1 if whole and padded[group][-1] > 0 else -1
                for o, element in enumerate(outputs):
                    got = ctx.get(dut.row[o * fold.input_lanes + i])
                    assert sign * got == sums[element], (step, group, element)

    async def bench(ctx):
        for index, length in enumerate(lengths):
            codes = rng.choice([-1, 1], (length, config.code_bits))
            low, high = -(1 << config.value_width - 1), (1 << config.value_width - 1) - 1
            values = rng.choice([low, high, 0, 3], (length, config.value_dim))
            if index == 0:
                codes[:], values[:] = 1, low  # as far as sums go
            await fill(ctx, codes, values)
            ctx.set(dut.read_bank, index % config.state_banks)
            state = accumulate(codes, values)[0]
            for code in [*codes[:2], *-codes[:2], *rng.choice([-1, 1], (8, config.code_bits))]:
                await ask(ctx, code, state)

    simulate(dut, bench)


@pytest.mark.parametrize("config", SHAPES, ids=shown)
@pytest.mark.slow
def test_full_rate_begins_where_the_core_says(config):
    """And not before."""
    least = BucketedCore(config).full_rate_tokens
    k = config.cycles_per_token
    for tokens in {least, max(1, least - 1)}:
        rng = random.Random(7)
        shorter = replace(config, max_tokens=tokens)
        packets = [draw(shorter, rng, count=tokens, error=False) for _ in range(7)]
        _, launches, _ = run(shorter, packets)
        times = launches[3 * tokens :]
        steps = {b - a for a, b in zip(times, times[1:], strict=False)}
        assert (steps == {k}) == (tokens == least), tokens
