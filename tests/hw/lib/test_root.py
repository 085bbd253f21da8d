# SPDX-License-Identifier: Apache-2.0
import random

import pytest

from ecoformer.hw.lib.root import RootUnit
from ecoformer.spec.tables import reciprocal_root_table
from tests.hw.bench import simulate


def norms(width, rng):
    largest = (1 << width) - 1
    if largest <= 2_000:
        return list(range(largest + 1))
    edges = {0, 1, 2, 3, largest, largest - 1}
    for e in range(1, 1 + width // 2):
        edges |= {4**e + step for step in (-1, 0, 1)} | {2 * 4**e - 1, 2 * 4**e}
    return [n for n in edges if n <= largest] + [rng.randint(0, largest) for _ in range(400)]


@pytest.mark.parametrize("seed", [0])
@pytest.mark.parametrize("width", [1, 7, 10, 17, 22, 39])
def test_root_unit(width, seed):
    dut, rows = RootUnit(width), norms(width, random.Random(seed))
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
