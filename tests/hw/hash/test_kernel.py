# SPDX-License-Identifier: Apache-2.0
import random

import pytest

from ecoformer.hw.hash.kernel import KernelLane
from ecoformer.spec.arithmetic import Arithmetic
from ecoformer.spec.config import Config
from ecoformer.spec.tables import KERNEL_INDEX_BITS, exponential_table, reciprocal_root_table
from tests.hw.bench import simulate


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
    assert len(KernelLane(config).dot) == bits.dot_width
