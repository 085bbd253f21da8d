# SPDX-License-Identifier: Apache-2.0
import random

import pytest

from ecoformer.hw.lib.skid_buffer import SkidBuffer
from tests.hw.bench import simulate


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("offered, taken", [(1, 1), (0.5, 1), (1, 0.5), (0.6, 0.6)])
def test_nothing_is_lost_and_ready_is_known_before(offered, taken, seed):
    dut, rng = SkidBuffer(8), random.Random(seed)
    sent, got = [rng.randrange(256) for _ in range(200)], []
    cycles = 0

    async def bench(ctx):
        nonlocal cycles
        waiting, held = list(sent), False
        while len(got) < len(sent):
            ctx.set(dut.i.valid, 0)
            ctx.set(dut.o.ready, 0)
            ready = ctx.get(dut.i.ready)
            held = bool(waiting) and (held or rng.random() < offered)
            ctx.set(dut.i.valid, held)
            if held:
                ctx.set(dut.i.payload, waiting[0])
            ctx.set(dut.o.ready, rng.random() < taken)
            assert ctx.get(dut.i.ready) == ready, "ready depends on an input"
            if ctx.get(dut.o.valid & dut.o.ready):
                got.append(ctx.get(dut.o.payload))
            if held and ready:
                waiting.pop(0)
                held = False
            await ctx.tick()
            cycles += 1

    simulate(dut, bench)
    assert got == sent
    if offered == taken == 1:
        assert cycles == len(sent)
