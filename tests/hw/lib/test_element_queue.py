# SPDX-License-Identifier: Apache-2.0
import random

import pytest
from amaranth import *

from ecoformer.hw.lib.element_queue import ElementQueue
from tests.hw.bench import simulate


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("elements, vectors", [(1, 1), (5, 3), (8, 2), (9, 8)])
def test_vectors_are_read_in_order_while_others_come(elements, vectors, seed):
    """``vectors`` are there at once, the one that is read and the one that comes among them."""
    dut = ElementQueue(elements, signed(6), vectors)
    rng = random.Random(seed)
    written = [[rng.randint(-32, 31) for _ in range(elements)] for _ in range(30)]
    complete, used = [], []

    async def source(ctx):
        for vector in written:
            while len(complete) - len(used) == vectors:
                await ctx.tick()
            order = list(range(elements))
            rng.shuffle(order)
            if rng.random() < 0.3:  # given up halfway, and begun again
                order = order[: elements // 2] + order
            for place, index in enumerate(order):
                ctx.set(dut.write.enable, 1)
                ctx.set(dut.write.index, index)
                ctx.set(dut.write.data, vector[index])
                ctx.set(dut.write.done, place == len(order) - 1)
                await ctx.tick()
                ctx.set(dut.write.enable, 0)
                ctx.set(dut.write.done, 0)
                while rng.random() < 0.3:
                    await ctx.tick()
            complete.append(vector)

    async def bench(ctx):
        for number, vector in enumerate(written):
            while len(complete) <= number:
                await ctx.tick()
            ctx.set(dut.follow, 1)
            await ctx.tick()
            ctx.set(dut.follow, 0)
            for _ in range(2 * elements):
                index = rng.randrange(elements)
                ctx.set(dut.index, index)
                await ctx.tick()
                assert ctx.get(dut.element) == vector[index], (number, index)
            used.append(vector)

    simulate(dut, bench, background=[source])
