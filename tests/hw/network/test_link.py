# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from amaranth.hdl import Module, Signal

from ecoformer.hw.network.link import room_for
from tests.hw.bench import simulate


@pytest.mark.parametrize("tokens", [1, 2, 3, 5])
def test_room_is_exact_but_in_the_cycle_after_a_token_begins(tokens):
    rng = np.random.default_rng(tokens)
    m = Module()
    returned, begin, room = Signal(), Signal(), Signal()
    m.d.comb += room.eq(room_for(m, tokens, returned, begin))
    seen = set()

    async def bench(ctx):
        left, begun = tokens, False
        for _ in range(600):
            assert ctx.get(room) == (left > 0 and not begun)
            begun = bool(left and not begun and rng.random() < 0.6)
            back = left < tokens and rng.random() < 0.4
            ctx.set(begin, begun)
            ctx.set(returned, back)
            left += back - begun
            seen.add(left)
            await ctx.tick()

    simulate(m, bench)
    assert seen == set(range(tokens + 1))
