# SPDX-License-Identifier: Apache-2.0
"""Tokens of images go around as often as they must, in order, whatever waits."""

import random
from collections import deque

import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from ecoformer.hw.network.passes import Passes
from ecoformer.hw.network.ring import Ring
from tests.hw.bench import simulate

ELEMENTS, WIDTH = 4, 16


class Around(wiring.Component):
    """A ring, and for which block a place with ``done`` tokens is at work."""

    def __init__(self, blocks, tokens, inside, cycles):
        self.passes = Passes(blocks, tokens)
        self.ring = Ring(
            self.passes, ELEMENTS, WIDTH, inside, cycles, blocks * tokens * cycles
        )
        super().__init__({"block": Out(8)})
        self.done = Signal()

    def elaborate(self, platform):
        m = Module()
        m.submodules.ring = self.ring
        m.d.comb += self.block.eq(self.passes.block_of_tokens(m, self.done, stride=3, name="place"))
        return m


def play(blocks, tokens, images, *, seed=0, block_stall=0.0, shut=(), room=20, cycles=16):
    """Tokens that leave the ring; a model of a block adds 1 + 10 · its number to each.

    The block answers when all tokens of a pass have come, as attention does. Nothing may leave in
    the cycles ``shut``.
    """
    rng = random.Random(seed)
    inside = tokens + room
    dut = Around(blocks, tokens, inside, cycles)
    ring, found, most = dut.ring, [], [0]

    async def source(ctx):
        for number in range(images * tokens):
            while not ctx.get(ring.i.room):
                await ctx.tick()
            ctx.set(ring.i.begin, 1)
            await ctx.tick()
            ctx.set(ring.i.begin, 0)
            for element in range(ELEMENTS):
                ctx.set(ring.i.valid, 1)
                ctx.set(ring.i.element, 100 * number + 20 * element)
                await ctx.tick()
            ctx.set(ring.i.valid, 0)

    queue: deque = deque()

    async def into_block(ctx):
        """Takes a token every ``cycles`` cycles, while there is room for ``inside``."""
        begun, current, cycle, next_begin = 0, [], 0, 0
        ctx.set(ring.enters.room, 1)
        async for _, _, begin, valid, element, block in ctx.tick().sample(
            ring.enters.begin, ring.enters.valid, ring.enters.element, dut.block
        ):
            cycle += 1
            ctx.set(dut.done, 0)
            if begin:
                assert cycle >= next_begin
                begun, next_begin = begun + 1, cycle + cycles
            if valid:
                current.append(element)
            if len(current) == ELEMENTS:
                assert block % 3 == 0
                queue.append([e + 1 + 10 * (block // 3) for e in current])
                current = []
                ctx.set(dut.done, 1)
            most[0] = max(most[0], begun - left[0])
            free = begun - left[0] < inside and cycle >= next_begin - 1 and not begin
            ctx.set(ring.enters.room, free)

    left = [0]

    async def out_of_block(ctx):
        while True:
            for number in range(tokens):
                while len(queue) < (tokens - number if not number else 1):
                    await ctx.tick()
                while rng.random() < block_stall or not ctx.get(ring.leaves.room):
                    await ctx.tick()
                ctx.set(ring.leaves.begin, 1)
                await ctx.tick()
                ctx.set(ring.leaves.begin, 0)
                for element in queue.popleft():
                    ctx.set(ring.leaves.valid, 1)
                    ctx.set(ring.leaves.element, element)
                    await ctx.tick()
                ctx.set(ring.leaves.valid, 0)
                left[0] += 1

    async def sink(ctx):
        cycle, current, begun = 0, [], 0
        ctx.set(ring.o.room, 1)
        async for _, _, begin, valid, element in ctx.tick().sample(
            ring.o.begin, ring.o.valid, ring.o.element
        ):
            cycle += 1
            begun += begin
            if valid:
                current.append(element)
            if len(current) == ELEMENTS:
                found.append(current)
                current = []
                assert len(found) <= begun
            ctx.set(ring.o.room, cycle not in shut)

    async def bench(ctx):
        for _ in range(6 * images * tokens * blocks * cycles + len(shut)):
            await ctx.tick()
            if len(found) == images * tokens:
                break
        await ctx.tick().repeat(100)

    simulate(dut, bench, background=[source, into_block, out_of_block, sink])
    added = sum(1 + 10 * block for block in range(blocks))
    assert found == [
        [100 * number + 20 * element + added for element in range(ELEMENTS)]
        for number in range(images * tokens)
    ]
    return most[0]


@pytest.mark.parametrize("blocks, tokens", [(2, 1), (3, 1), (2, 5), (5, 6)])
@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_every_token_goes_through_every_block(blocks, tokens, stall):
    play(blocks, tokens, 4, seed=3, block_stall=stall)


def test_one_image_alone():
    play(3, 5, 1)


def test_a_full_output_stops_nothing_for_good():
    """Everything that can be full is; then all goes on."""
    assert play(3, 5, 9, shut=range(300, 6_000)) >= 10


def test_more_images_fill_a_block_that_holds_many_tokens():
    ring = Around(3, 2, 17, 16).ring
    assert ring.images == 9 and ring.tokens == 2 + 2 + 18
