# SPDX-License-Identifier: Apache-2.0
import random

import numpy as np
import pytest

from ecoformer.golden.integer.hashing import hash_tokens
from ecoformer.hw.hash.families import hash_unit
from ecoformer.hw.parameters.memory import ParameterMemory, Slots
from ecoformer.sim.stimulus import random_image
from ecoformer.spec.config import Config
from ecoformer.spec.memory_map import MemoryMap
from tests.hw.bench import load, put, receive, simulate, watch
from tests.hw.hash.test_families import shown


def shape(k, hash="rbf", **others):
    return Config(
        head_dim=5, anchors=3, code_bits=4, cycles_per_token=k, hash=hash, value_dim=1,
        bus_bytes=64, max_tokens=8, parameter_sets=2, queries="separate", **others,
    )


CONFIGS = [shape(1), shape(8), shape(2, "linear", weights="ternary"), shape(4, "codes")]


def draw(config, seed, count):
    """An image, slots, tokens as payloads, and the codes of q and k as one number."""
    rng = np.random.default_rng(seed)
    image, sides = random_image(config, rng), config.sides
    tokens = config.family.tokens_from(rng.integers(-128, 128, (count, sides.elements)))
    slots = rng.integers(0, image.sets, count).tolist()
    payloads, codes = [], []
    for slot, token in zip(slots, tokens, strict=True):
        code = hash_tokens(config, image, slot, token[None])[0]
        codes.append(sum(1 << r for r, h in enumerate(code) if h > 0))
        q, k = (part.tolist() for part in sides.split(token))
        if config.hash == "codes":
            q, k = (sum(1 << r for r, h in enumerate(part) if h > 0) for part in (q, k))
        payloads.append({"q": q, "k": k, "slot": slot})
    return image, payloads, codes


def scalars(dut, image):
    """Background bench: the memory of the shifts of both sides."""

    async def bench(ctx):
        shown = [0] * (ParameterMemory.LATENCY - 1)
        async for _, _, slot in ctx.tick().sample(dut.i.payload.slot):
            shown.append(slot)
            now = shown.pop(0)
            for name in dut.scalars:
                ctx.set(getattr(dut, name), int(getattr(image, name)[now]))

    return bench


@pytest.mark.parametrize("stall", [0.0, 0.6])
@pytest.mark.parametrize("config", CONFIGS, ids=shown)
def test_both_vectors_are_hashed_in_the_same_cycles(config, stall):
    dut, count = hash_unit(config, Slots.of(config)), 16
    image, payloads, codes = draw(config, 3, count)
    rng, taken, offered = random.Random(1), [], []

    async def source(ctx):
        for slot in range(image.sets):
            await load(ctx, dut.write, MemoryMap(config).load_words(image, slot), slot)
        for payload in payloads:
            while stall and rng.random() < stall:
                await ctx.tick()
            await put(ctx, dut.i, payload)

    async def sink(ctx):
        assert await receive(ctx, dut.o, count, rng=rng, stall=stall) == codes

    simulate(
        dut, source, sink,
        background=[
            scalars(dut, image),
            watch(taken, dut.i.valid & dut.i.ready),
            watch(offered, dut.o.valid & dut.o.ready),
        ],
    )
    assert len(set(codes)) > 4
    if not stall:
        start = taken[0][0]
        assert [t for (t,) in taken] == [start + i * config.cycles_per_token for i in range(count)]
        assert [t for (t,) in offered] == [t + dut.latency for (t,) in taken]
