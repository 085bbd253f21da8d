import random

import pytest

from hw.counters import Counters
from tests.hw.bench import simulate


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("reads", ["none", "some", "always one"])
@pytest.mark.parametrize("count, width", [(1, 32), (2, 3), (10, 32), (7, 5)])
def test_every_event_is_counted_and_seen_at_once(count, width, reads, seed):
    dut = Counters(count, width)
    rng = random.Random(seed)
    rates = [rng.choice((0, 0.1, 0.9, 1)) for _ in range(count)]
    favourite = rng.randrange(count)

    async def bench(ctx):
        held, rested = [0] * count, True
        for cycle in range(500):
            ask = rested and cycle < 460 and (
                reads == "always one" or (reads == "some" and rng.random() < 0.3)
            )
            ask |= rested and cycle >= 460  # at the end whether one was lost
            index = favourite if reads == "always one" and cycle < 460 else rng.randrange(count)
            events = [rng.random() < rate for rate in rates]
            ctx.set(dut.read, ask)
            ctx.set(dut.index, index)
            ctx.set(dut.events, sum(e << i for i, e in enumerate(events)))
            if ask:
                assert ctx.get(dut.value) == held[index] % (1 << width), (cycle, index)
            await ctx.tick()
            held = [h + e for h, e in zip(held, events)]
            rested = not ask

    simulate(dut, bench)
