# SPDX-License-Identifier: Apache-2.0
import random

import pytest

from ecoformer.hw.hash.kernel import KernelLane, RootUnit
from ecoformer.spec.arithmetic import Arithmetic
from ecoformer.spec.config import Config
from ecoformer.spec.tables import KERNEL_INDEX_BITS, exponential_table, reciprocal_root_table
from tests.hw.bench import simulate


def norms(config, rng):
    largest = config.head_dim << 2 * config.token_width - 2
    if largest <= 2_000:
        return list(range(largest + 1))
    edges = {0, 1, 2, 3, largest, largest - 1}
    for e in range(1, 16):
        edges |= {4**e + step for step in (-1, 0, 1)} | {2 * 4**e - 1, 2 * 4**e}
    return [n for n in edges if n <= largest] + [rng.randint(0, largest) for _ in range(400)]


@pytest.mark.parametrize("seed", [0])
@pytest.mark.parametrize("dim, width", [(1, 4), (7, 4), (3, 8), (128, 8)])
def test_root_unit(dim, width, seed):
    config = Config(head_dim=dim, token_width=width, cycles_per_token=128, value_dim=1)
    dut, rows = RootUnit(config), norms(config, random.Random(seed))
    table, late = reciprocal_root_table(), RootUnit.LATENCY

    async def bench(ctx):
        for t in range(len(rows) + late):
            ctx.set(dut.norm, rows[min(t, len(rows) - 1)])
            if t >= late:
                norm = rows[t - late]
                e = (norm.bit_length() + 1) // 2
                assert ctx.get(dut.exponent) == e, norm
                assert ctx.get(dut.root) == table[(norm << 10) >> 2 * e], norm
            await ctx.tick()

    simulate(dut, bench)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("dim, width", [(1, 4), (5, 8), (128, 8)])
def test_kernel_lane(dim, width, seed):
    config = Config(head_dim=dim, token_width=width, cycles_per_token=128, value_dim=1)
    dut, rng = KernelLane(config), random.Random(seed)
    table, limit = exponential_table(), 1 << width - 1
    span = 1 << KERNEL_INDEX_BITS
    cases = []
    for i in range(300):
        high = limit if i % 3 else 2
        x = [rng.randint(-high, high - 1) for _ in range(dim)]
        x = [-limit] * dim if i == 0 else [0] * dim if i == 1 else x
        anchor = [rng.randint(-128, 127) for _ in range(dim)] if i % 5 else [-128] * dim
        norm = sum(e * e for e in x)
        e = (norm.bit_length() + 1) // 2
        root = reciprocal_root_table()[(norm << 10) >> 2 * e]
        dot = sum(a * b for a, b in zip(x, anchor, strict=True))
        bias = rng.choice((rng.randint(0, span), rng.randint(-(1 << 15), (1 << 15) - 1)))
        shift = rng.choice((rng.randint(8, 18), rng.randint(0, 31), 0, 31))
        cosine = (((dot << 5) >> e) * root) >> shift
        edge = cosine + rng.choice((-2, -1, 0, 1, span - 1, span))
        if i % 2 and -(1 << 15) <= edge < 1 << 15:
            bias = edge
        argument = bias - cosine
        cases.append((dot, e, root, shift, bias, table[min(max(argument, 0), span - 1)]))
    late = KernelLane.LATENCY

    async def bench(ctx):
        for t in range(len(cases) + late):
            dot, e, root, shift, bias, _ = cases[min(t, len(cases) - 1)]
            for port, value in (
                (dut.dot, dot), (dut.exponent, e), (dut.root, root), (dut.shift, shift),
                (dut.bias, bias),
            ):
                ctx.set(port, value)
            if t >= late:
                assert ctx.get(dut.kernel) == cases[t - late][-1], cases[t - late]
            await ctx.tick()

    simulate(dut, bench)
    assert len({case[-1] for case in cases}) > 20


def test_widths_come_from_the_arithmetic():
    config = Config(head_dim=7, token_width=5)
    bits = Arithmetic(config)
    assert len(RootUnit(config).norm) == bits.norm_width
    assert len(KernelLane(config).dot) == bits.dot_width
