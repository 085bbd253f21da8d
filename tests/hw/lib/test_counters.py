# SPDX-License-Identifier: Apache-2.0
import random

import pytest

from ecoformer.hw.lib.counters import Counters
from tests.hw.bench import simulate


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("reads", ["none", "some", "always one"])
@pytest.mark.parametrize("count, width", [(1, 32), (2, 3), (10, 32), (7, 5)])
def test_every_event_is_counted_and_seen_at_once(count, width, reads, seed):
    dut = Counters(count, width)
    rng = random.Random(seed)
    rates = [rng.choice((0, 0.1, 0.9, 1)) for _ in range(count)]
    favourite = rng.randrange(count)
    answers = []

    async def bench(ctx):
        held, asking = [[0] * count] * 4, False  # counts before every cycle so far
        for cycle in range(1000):
            late = cycle >= 700  # at the end, whether one was lost
            if not asking and (late or reads == "always one"
                               or (reads == "some" and rng.random() < 0.3)):
                asking = True
                index = favourite if reads == "always one" else rng.randrange(count)
                if late:
                    index = len(answers) % count
                ctx.set(dut.index, index)
            events = [rng.random() < rate for rate in rates]
            ctx.set(dut.read, asking)
            ctx.set(dut.events, sum(e << i for i, e in enumerate(events)))
            if ctx.get(dut.done):
                assert asking
                assert ctx.get(dut.value) == held[-5][index] % (1 << width), (cycle, index)
                answers.append((late, index))
                asking = False
            await ctx.tick()
            held.append([h + e for h, e in zip(held[-1], events)])

    simulate(dut, bench)
    assert {index for late, index in answers if late} == set(range(count))
