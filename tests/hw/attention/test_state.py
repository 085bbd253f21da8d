# SPDX-License-Identifier: Apache-2.0
import random

import numpy as np
import pytest

from ecoformer.hw.attention.state import StateArray
from tests.hw.bench import simulate


def draw(rng, dut, cycles):
    """Address, accumulate, first, last, banks, signs, values of every cycle; None is an idle one.

    Rows come round in turn, as the steps of a fold visit them.
    """
    depth, inputs, outputs = dut.depth, dut.input_lanes, dut.output_lanes
    extremes = rng.random() < 0.3
    operations, begun = [], False
    while len(operations) < cycles:
        write_bank, read_bank = rng.randrange(dut.banks), rng.randrange(dut.banks)
        first, last = not begun or rng.random() < 0.2, rng.random() < 0.4
        accumulate = rng.random() < 0.8
        begun |= accumulate
        for address in range(depth):
            signs = [rng.randint(0, 1) for _ in range(inputs)]
            values = [rng.choice((-8, 7)) if extremes else rng.randint(-8, 7)] * outputs
            values = [v if rng.random() < 0.5 else rng.randint(-8, 7) for v in values]
            operations.append(
                (address, accumulate, first, last, write_bank, read_bank, signs, values)
            )
        if rng.random() < 0.3:
            operations += [None] * rng.randint(1, 3)
    return operations


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "depth, inputs, outputs, banks",
    [(1, 1, 1, 1), (1, 3, 2, 3), (2, 1, 2, 1), (3, 2, 1, 7), (7, 2, 3, 4)],
)
def test_a_bank_holds_the_signed_sums_of_its_sequence(depth, inputs, outputs, banks, seed):
    dut = StateArray(
        depth=depth, input_lanes=inputs, output_lanes=outputs, width=12, value_width=4, banks=banks
    )
    rng = random.Random(seed)
    operations = draw(rng, dut, 200 * depth)
    running = np.zeros((depth, outputs * inputs), dtype=np.int64)
    finished = {}  # row by (bank, address)

    def apply(address, accumulate, first, last, write_bank, read_bank, signs, values):
        if accumulate:
            products = [v if s else -v for v in values for s in signs]  # lane = output, input
            running[address] = (0 if first else running[address]) + np.array(products)
            if last:
                finished[write_bank, address] = running[address].tolist()

    async def bench(ctx):
        travelling = [None] * (dut.latency - 1)
        pending = None
        read = 0
        for t, operation in enumerate(operations):
            if operation is None:
                ctx.set(dut.accumulate, 0)
            else:
                address, accumulate, first, last, write_bank, read_bank, signs, values = operation
                ctx.set(dut.address, address)
                ctx.set(dut.accumulate, accumulate)
                ctx.set(dut.first, first)
                ctx.set(dut.last, last)
                ctx.set(dut.write_bank, write_bank)
                ctx.set(dut.read_bank, read_bank)
                ctx.set(dut.signs, sum(s << i for i, s in enumerate(signs)))
                ctx.set(dut.values, values)
            await ctx.tick()
            # A row is out as it was before what was accumulated with its address.
            if pending is not None:
                apply(*pending)
            travelling.append(operation)
            pending = travelling.pop(0)
            if pending is None:
                continue
            address, *_, read_bank, _, _ = pending
            if (read_bank, address) in finished:
                row = [ctx.get(dut.row[lane]) for lane in range(inputs * outputs)]
                assert row == finished[read_bank, address], t
                read += 1
        assert read > 50

    simulate(dut, bench)
    assert {bank for bank, _ in finished} == set(range(banks))


def test_the_width_holds_minus_the_lowest_value():
    dut = StateArray(depth=1, input_lanes=1, output_lanes=1, width=5, value_width=4, banks=1)

    async def bench(ctx):
        ctx.set(dut.accumulate, 1)
        ctx.set(dut.first, 1)
        ctx.set(dut.last, 1)
        ctx.set(dut.signs, 0)
        ctx.set(dut.values, [-8])
        await ctx.tick()
        ctx.set(dut.accumulate, 0)
        await ctx.tick().repeat(dut.latency)
        assert ctx.get(dut.row[0]) == 8

    simulate(dut, bench)
