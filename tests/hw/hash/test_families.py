# SPDX-License-Identifier: Apache-2.0
import random

import numpy as np
import pytest
from amaranth.back import rtlil

from ecoformer.golden.integer.hashing import hash_tokens
from ecoformer.hw.hash.families import hash_unit
from ecoformer.hw.parameters.memory import ParameterMemory, Slots
from ecoformer.sim.stimulus import PATTERNS, random_image
from ecoformer.spec.config import Config
from ecoformer.spec.memory_map import MemoryMap
from tests.hw.bench import load, put, receive, simulate, watch


def shape(head_dim, anchors, code_bits, k, **others):
    return Config(
        head_dim=head_dim, anchors=anchors, code_bits=code_bits, cycles_per_token=k, value_dim=1,
        bus_bytes=64, max_tokens=8, parameter_sets=2, **others,
    )


def shown(config):
    return (
        f"D{config.head_dim}-m{config.anchors}-b{config.code_bits}-k{config.cycles_per_token}"
        f"-{config.hash}-{config.weights}"
    )


CONFIGS = [
    shape(1, 1, 1, 1),
    shape(7, 5, 3, 1),
    shape(5, 3, 7, 2, token_width=5),
    shape(13, 2, 2, 4),
    shape(8, 6, 4, 8),
    shape(3, 11, 5, 16, token_width=4),
    shape(1, 3, 5, 16),
    shape(2, 2, 2, 64),  # more cycles than work
    shape(7, 5, 3, 2, weights="pow2"),
    shape(5, 9, 4, 8, weights="ternary"),
    shape(1, 1, 1, 1, hash="linear"),
    shape(7, 1, 5, 1, hash="linear", weights="ternary", token_width=4),
    shape(13, 1, 3, 4, hash="linear", weights="pow2"),
    shape(3, 1, 11, 64, hash="linear"),
    shape(1, 1, 1, 1, hash="hadamard"),
    shape(7, 1, 5, 1, hash="hadamard", token_width=4),  # all elements at once
    shape(4, 1, 11, 1, hash="hadamard"),  # several rotations at once
    shape(4, 1, 11, 2, hash="hadamard"),  # one after another
    shape(13, 1, 9, 2, hash="hadamard"),  # blocks of elements
    shape(13, 1, 16, 16, hash="hadamard"),  # and of results
    shape(2, 1, 2, 64, hash="hadamard"),  # more cycles than work
    shape(1, 1, 1, 1, hash="codes"),
    shape(1, 1, 9, 4, hash="codes"),
]


def draw(config, seed, count):
    """An image, slots and tokens of every pattern, and their codes as bit masks."""
    rng = np.random.default_rng(seed)
    image, names = random_image(config, rng), list(PATTERNS)
    tokens = np.concatenate([
        PATTERNS[names[i % len(names)]](rng, (1, config.key_elements), config.token_width)
        for i in range(count)
    ])
    if config.hash == "codes":
        tokens = np.where(tokens < 0, -1, 1)
    slots = rng.integers(0, image.sets, count).tolist()
    codes = [hash_tokens(config, image, s, t[None])[0] for s, t in zip(slots, tokens, strict=True)]
    masks = [sum(1 << r for r, h in enumerate(code) if h > 0) for code in codes]
    return image, slots, masks if config.hash == "codes" else tokens.tolist(), masks


async def feed(ctx, dut, image, slots, tokens, *, rng=None, stall=0.0):
    for slot in range(image.sets):
        await load(ctx, dut.write, MemoryMap(dut.config).load_words(image, slot), slot)
    for slot, x in zip(slots, tokens, strict=True):
        while stall and rng.random() < stall:
            await ctx.tick()
        await put(ctx, dut.i, {"x": x, "slot": slot})
    await ctx.tick()


def scalars(dut, image):
    """Background bench: the memory of the shifts, whose answer counts in one cycle only."""

    async def bench(ctx):
        if image.shift is None:
            return
        rng = random.Random(0)
        slots_taken = [None] * (ParameterMemory.LATENCY - 1)
        taken = dut.i.valid & dut.i.ready
        async for _, _, strobe, slot in ctx.tick().sample(taken, dut.i.payload.slot):
            slots_taken.append(slot if strobe else None)
            now = slots_taken.pop(0)
            ctx.set(dut.shift, rng.randint(0, 31) if now is None else int(image.shift[now]))

    return bench


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("config", CONFIGS, ids=shown)
def test_hash_at_full_rate(config, seed):
    dut, count = hash_unit(config, Slots.of(config)), 24
    image, slots, tokens, codes = draw(config, seed, count)
    taken, offered = [], []

    async def source(ctx):
        await feed(ctx, dut, image, slots, tokens)

    async def sink(ctx):
        assert await receive(ctx, dut.o, count) == codes

    simulate(
        dut, source, sink,
        background=[
            scalars(dut, image),
            watch(taken, dut.i.valid & dut.i.ready),
            watch(offered, dut.o.valid & dut.o.ready),
        ],
    )
    start = taken[0][0]
    assert [t for (t,) in taken] == [start + i * config.cycles_per_token for i in range(count)]
    assert [t for (t,) in offered] == [t + dut.latency for (t,) in taken]


@pytest.mark.parametrize("seed", [2, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("config", CONFIGS, ids=shown)
def test_hash_with_stalls(config, seed):
    dut, count = hash_unit(config, Slots.of(config)), 20
    image, slots, tokens, codes = draw(config, seed, count)
    rng = random.Random(seed)

    async def source(ctx):
        await feed(ctx, dut, image, slots, tokens, rng=rng, stall=0.6)

    async def sink(ctx):
        assert await receive(ctx, dut.o, count, rng=rng, stall=0.9) == codes

    simulate(dut, source, sink, background=[scalars(dut, image)])


@pytest.mark.parametrize("config", [*CONFIGS[1:5], *CONFIGS[-4:]], ids=shown)
def test_a_blocked_hash_takes_as_many_tokens_as_it_can_hold(config):
    dut = hash_unit(config, Slots.of(config))
    count = dut.depth + 5
    image, slots, tokens, codes = draw(config, 4, count)
    taken = []

    async def source(ctx):
        await feed(ctx, dut, image, slots, tokens)

    async def sink(ctx):
        while len(taken) < dut.depth:
            await ctx.tick()
        await ctx.tick().repeat(dut.latency + 3 * config.cycles_per_token)
        assert len(taken) == dut.depth
        assert await receive(ctx, dut.o, count) == codes

    watching = [scalars(dut, image), watch(taken, dut.i.valid & dut.i.ready)]
    simulate(dut, source, sink, background=watching)


def test_random_tokens_give_lively_codes():
    _, _, _, codes = draw(CONFIGS[4], 0, 64)
    assert len(set(codes)) >= 6


def test_writes_to_one_slot_leave_the_others_alone():
    config = CONFIGS[4]
    dut = hash_unit(config, Slots(3))
    image, _, tokens, _ = draw(config, 5, 6)
    codes = [
        sum(1 << r for r, h in enumerate(hash_tokens(config, image, 0, np.array([x]))[0]) if h > 0)
        for x in tokens
    ]
    layout = MemoryMap(config)

    async def source(ctx):
        await load(ctx, dut.write, layout.load_words(image, 0), 0)
        for x in tokens:
            await put(ctx, dut.i, {"x": x, "slot": 0})

    async def writer(ctx):  # the shadow is loaded while tokens are on their way
        await ctx.tick().repeat(len(layout.load_words(image, 0)) + 1)
        await load(ctx, dut.write, layout.load_words(image, 1), 2)

    async def sink(ctx):
        assert await receive(ctx, dut.o, len(tokens)) == codes

    simulate(dut, source, writer, sink, background=[scalars(dut, image)])


@pytest.mark.parametrize("weights", ["pow2", "ternary"])
@pytest.mark.parametrize("k", [1, 4])
def test_a_linear_hash_of_small_weights_has_no_multiplier(weights, k):
    config = shape(6, 1, 5, k, hash="linear", weights=weights)
    assert "$mul" not in rtlil.convert(hash_unit(config, Slots(3)))
    assert "$mul" in rtlil.convert(hash_unit(shape(6, 1, 5, k, hash="linear"), Slots(3)))
