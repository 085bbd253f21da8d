# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from amaranth.hdl import Module, Signal

from ecoformer.hw.lib.tally import any_left
from tests.hw.bench import simulate


@pytest.mark.parametrize("init", [0, 2])
@pytest.mark.parametrize("most", [1, 2, 3, 5])
def test_whether_any_are_left_is_known_in_the_next_cycle(most, init):
    rng = np.random.default_rng(10 * most + init)
    m = Module()
    more, fewer = Signal(), Signal()
    flag = any_left(m, most, more, fewer, init=min(init, most), name="any")
    seen = set()

    async def bench(ctx):
        count = min(init, most)
        for _ in range(400):
            assert ctx.get(flag) == (count > 0)
            less = count > 0 and rng.random() < 0.5
            plus = count - less < most and rng.random() < 0.5
            ctx.set(more, plus)
            ctx.set(fewer, less)
            count += plus - less
            seen.add(count)
            await ctx.tick()

    simulate(m, bench)
    assert seen == set(range(most + 1))
