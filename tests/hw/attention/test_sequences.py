# SPDX-License-Identifier: Apache-2.0
import random

import pytest

from ecoformer.hw.attention.sequences import SequenceQueue
from ecoformer.spec.config import Config
from tests.hw.bench import simulate


@pytest.mark.parametrize("claim", ["first", "last"])
@pytest.mark.parametrize("banks", [1, 2, 3, 8])
@pytest.mark.parametrize("seed", range(3))
def test_sequences_keep_their_order_and_their_banks(banks, claim, seed):
    config = Config(max_tokens=5, parameter_sets=4)
    dut, rng = SequenceQueue(config, banks, claim), random.Random(seed)
    waiting, free, begun = [], banks, 0

    async def bench(ctx):
        nonlocal free, begun
        position = 0
        for _ in range(400):
            error, last = rng.random() < 0.1, rng.random() < 0.4 or position == 4
            tag = {"user": rng.randrange(4), "last": last or error, "error": error}
            offset = rng.randrange(33)
            ctx.set(dut.key, {"code": 0, "v": [0] * 32, "offset": offset, "tag": tag})
            assert ctx.get(dut.first) == (position == 0)
            assert ctx.get(dut.position) == position
            assert ctx.get(dut.bank) == begun % banks
            claims = position == 0 if claim == "first" else tag["last"]
            assert ctx.get(dut.room) == (not claims or free > 0)
            assert ctx.get(dut.waiting) == bool(waiting)
            release = bool(waiting) and rng.random() < 0.2
            take = (free > 0 or not claims or release) and rng.random() < 0.7
            if waiting:
                current = ctx.get(dut.current)
                found = (current.count, current.offset, current.bank, current.user, current.error)
                assert found == waiting[0]
            ctx.set(dut.take, take)
            ctx.set(dut.release, release)
            if release:
                waiting.pop(0)
            free += release - (take and claims)
            if take:
                position += 1
                if tag["last"]:
                    count = 1 if error else position
                    waiting.append((count, offset, begun % banks, tag["user"], error))
                    position, begun = 0, begun + 1
            await ctx.tick()

    simulate(dut, bench)
    assert begun > 2 * banks
