import random

import numpy as np
import pytest

from hw.state import StateArray
from tests.hw.bench import simulate


def draw(rng, dut, cycles):
    """Address, accumulate, first, banks, signs, values of every cycle; None is an idle one.

    Rows come round in turn, as the steps of a fold visit them.
    """
    depth, inputs, outputs = dut.depth, dut.input_lanes, dut.output_lanes
    extremes = rng.random() < 0.3
    operations, used = [], set()
    while len(operations) < cycles:
        write_bank, read_bank = rng.randrange(dut.banks), rng.randrange(dut.banks)
        first = write_bank not in used or rng.random() < 0.2
        accumulate = rng.random() < 0.8
        if accumulate:
            used.add(write_bank)
        for address in range(depth):
            signs = [rng.randint(0, 1) for _ in range(inputs)]
            values = [rng.choice((-8, 7)) if extremes else rng.randint(-8, 7)] * outputs
            values = [v if rng.random() < 0.5 else rng.randint(-8, 7) for v in values]
            operations.append((address, accumulate, first, write_bank, read_bank, signs, values))
        if rng.random() < 0.3:
            operations += [None] * rng.randint(1, 3)
    return operations


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "depth, inputs, outputs, banks",
    [(1, 1, 1, 2), (1, 3, 2, 3), (2, 1, 2, 2), (3, 2, 1, 8), (7, 2, 3, 4)],
)
def test_rows_hold_the_signed_sums_of_their_bank(depth, inputs, outputs, banks, seed):
    dut = StateArray(
        depth=depth, input_lanes=inputs, output_lanes=outputs, width=12, value_width=4, banks=banks
    )
    rng = random.Random(seed)
    operations = draw(rng, dut, 150)
    state = np.zeros((banks, depth, outputs * inputs), dtype=np.int64)
    written = np.zeros((banks, depth), dtype=bool)

    async def bench(ctx):
        pending = None
        for t, operation in enumerate(operations):
            if operation is None:
                ctx.set(dut.accumulate, 0)
                await ctx.tick()
                if pending is not None:
                    _apply(state, written, *pending)
                pending = None
                continue
            address, accumulate, first, write_bank, read_bank, signs, values = operation
            ctx.set(dut.address, address)
            ctx.set(dut.accumulate, accumulate)
            ctx.set(dut.first, first)
            ctx.set(dut.write_bank, write_bank)
            ctx.set(dut.read_bank, read_bank)
            ctx.set(dut.signs, sum(s << i for i, s in enumerate(signs)))
            ctx.set(dut.values, values)
            await ctx.tick()
            # The row addressed in this cycle is out, without what this cycle accumulates.
            if pending is not None:
                _apply(state, written, *pending)
            pending = operation
            if written[read_bank, address]:
                row = [ctx.get(dut.row[lane]) for lane in range(inputs * outputs)]
                assert row == state[read_bank, address].tolist(), t

    simulate(dut, bench)
    assert written.all(axis=1).any()


def _apply(state, written, address, accumulate, first, write_bank, read_bank, signs, values):
    if not accumulate:
        return
    row = state[write_bank, address]
    if first:
        row[:] = 0
        written[write_bank, address] = True
    products = [v if s else -v for v in values for s in signs]  # lane = output · lanes + input
    row += np.array(products)


def test_the_width_holds_minus_the_lowest_value():
    dut = StateArray(depth=1, input_lanes=1, output_lanes=1, width=5, value_width=4, banks=2)

    async def bench(ctx):
        ctx.set(dut.accumulate, 1)
        ctx.set(dut.first, 1)
        ctx.set(dut.signs, 0)
        ctx.set(dut.values, [-8])
        await ctx.tick()
        ctx.set(dut.accumulate, 0)
        await ctx.tick()
        assert ctx.get(dut.row[0]) == 8

    simulate(dut, bench)
