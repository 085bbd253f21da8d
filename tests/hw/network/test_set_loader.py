# SPDX-License-Identifier: Apache-2.0
"""The parameters of heads as bytes, and the words that are written of them."""

import random

import numpy as np
import pytest

from ecoformer.hw.network.set_loader import SetLoader
from ecoformer.sim.stimulus import random_image
from ecoformer.spec.config import Config
from ecoformer.spec.memory_map import MemoryMap
from tests.hw.bench import simulate, ticks

SHAPE = dict(head_dim=4, value_dim=4, code_bits=6, cycles_per_token=16, max_tokens=8)
CONFIGS = {
    "linear": Config(**SHAPE, hash="linear", parameter_sets=3),
    "kernelized": Config(**SHAPE, anchors=5, parameter_sets=2),
    "separate": Config(
        **SHAPE, hash="linear", weights="ternary", queries="separate", bus_bytes=16,
        parameter_sets=2,
    ),
}


@pytest.mark.parametrize("sets", [1, 3])
@pytest.mark.parametrize("name", CONFIGS)
def test_words_are_written_in_the_order_of_the_memory_map(name, sets):
    config = CONFIGS[name]
    layout, heads = MemoryMap(config), config.parameter_sets
    images = [random_image(config, np.random.default_rng(seed)) for seed in range(sets)]
    words = [
        [(slot, *word) for slot, image in enumerate(images)
         for word in layout.load_words(image, number)]
        for number in range(heads)
    ]
    packet = b"".join(data.to_bytes(4, "little") for one in words for _, _, data in one)
    dut, rng = SetLoader(layout, heads, sets, sets + 1), random.Random(2)
    written = [[] for _ in range(heads)]
    past = []

    async def bench(ctx):
        # A load that is broken off leaves nothing behind.
        for part, more in ((packet[:7], b""), (packet, b"\x81\x82")):
            for one in written:
                one.clear()
            ctx.set(dut.load.start, 1)
            await ctx.tick()
            ctx.set(dut.load.start, 0)
            for byte in part + more:
                while rng.random() < 0.2:
                    await ctx.tick()
                ctx.set(dut.load.data, byte)
                ctx.set(dut.load.valid, 1)
                await ctx.tick()
                ctx.set(dut.load.valid, 0)
        await ticks(ctx, 3)

    async def listen(ctx):
        while True:
            await ctx.tick()
            if ctx.get(dut.loaded.valid):
                past.append(ctx.get(dut.loaded.data))

    def watch(number):
        port = dut.writes[number]

        async def bench(ctx):
            async for _, _, enable, row, word, data, slot in ctx.tick().sample(
                port.enable, port.row, port.word, port.data, port.slot
            ):
                if enable:
                    assert enable & enable - 1 == 0
                    region = enable.bit_length() - 1
                    written[number].append((slot, region << 28 | row << 12 | word, data))

        return bench

    simulate(dut, bench, background=[listen, *map(watch, range(heads))])
    assert written == words
    assert past == [0x81, 0x82]
