# SPDX-License-Identifier: Apache-2.0
import random

import numpy as np
import pytest

from ecoformer.golden.integer.network.patches import patches
from ecoformer.hw.network.patches import Patches
from ecoformer.spec.config import Config
from ecoformer.spec.network.design import NetworkDesign
from tests.hw.bench import idle, put, simulate, watch


def make(image_size, channels, patch):
    attention = Config(head_dim=4, value_dim=4, code_bits=4, anchors=4, cycles_per_token=1_024)
    return NetworkDesign(
        image_size=image_size, channels=channels, patch=patch, width=4, heads=1, depth=1,
        hidden=4, classes=2, attention=attention, cycles_per_token=2_048,
    )


def run(design, images, *, rng, stall):
    """Windows of every image, and whether each was bad."""
    dut, found, bad = Patches(design), [], []
    wanted = len(images) * design.tokens * design.channels * design.kernel**2

    async def source(ctx):
        ctx.set(dut.ready, 1)
        for image in images:
            for place, pixel in enumerate(image):
                await idle(ctx, rng, stall)
                last = place == len(image) - 1
                word = sum(int(byte) << 8 * c for c, byte in enumerate(pixel))
                await put(ctx, dut.i, {"data": word, "last": last})

    async def sink(ctx):
        async for _, _, valid, element, image, wrong in ctx.tick().sample(
            dut.o.valid, dut.o.element, dut.image, dut.bad
        ):
            if valid:
                found.append(element)
            if image:
                bad.append(wrong)
            ctx.set(dut.o.room, not stall or rng.random() > stall)

    async def bench(ctx):
        ctx.set(dut.o.room, 1)
        while len(found) < wanted:
            await ctx.tick()
        await ctx.tick().repeat(30)

    simulate(dut, bench, background=[source, sink], cycles=200_000)
    assert len(found) == wanted
    return np.array(found).reshape(len(images), design.tokens, -1), bad


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("image_size, channels, patch", [
    (4, 1, 4), (6, 1, 2), (5, 3, 1), (12, 1, 4), (8, 2, 4), (1, 1, 1),
])
def test_equals_the_integer_model(image_size, channels, patch, stall):
    design, seed = make(image_size, channels, patch), 5
    pixels = np.random.default_rng(seed).integers(
        0, 256, (3, channels, image_size, image_size), dtype=np.uint8
    )
    pixels[0], pixels[1, :, 0] = 0, 255
    beats = pixels.reshape(3, channels, -1).transpose(0, 2, 1)
    found, bad = run(design, list(beats), rng=random.Random(seed), stall=stall)
    assert (found == patches(design, pixels)).all()
    assert bad == [0, 0, 0]


@pytest.mark.parametrize("change", [-1, 1, 7, -8])
def test_image_of_another_size_is_bad_and_the_next_one_exact(change):
    design = make(3, 1, 1)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 1, 3, 3), dtype=np.uint8)
    good = pixels.reshape(2, -1, 1)
    wrong = np.zeros((9 + change, 1), np.uint8)
    found, bad = run(design, [good[0], wrong, good[1]], rng=random.Random(0), stall=0.0)
    assert bad == [0, 1, 0]
    assert (found[[0, 2]] == patches(design, pixels)).all()


def test_an_element_every_cycle():
    """Windows follow each other without a gap, also from an image to the next."""
    design = make(3, 1, 1)
    dut, beats, valid = Patches(design), [{"data": i, "last": i % 9 == 8} for i in range(27)], []

    async def bench(ctx):
        ctx.set(dut.ready, 1)
        ctx.set(dut.o.room, 1)
        for beat in beats:
            await put(ctx, dut.i, beat)
        await ctx.tick().repeat(40)

    simulate(dut, bench, background=[watch(valid, dut.o.valid)])
    cycles = [cycle for (cycle,) in valid]
    assert len(cycles) == 27
    assert cycles[-1] - cycles[0] <= 26 + 3  # pixels come as fast as windows of one leave
