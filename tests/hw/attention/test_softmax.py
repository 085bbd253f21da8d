# SPDX-License-Identifier: Apache-2.0
import random

import numpy as np
import pytest

from ecoformer.golden.integer.dataflows.softmax import softmax_sums
from ecoformer.hw.attention.softmax import Scan, SoftmaxCore
from ecoformer.sim.stimulus import PATTERNS, random_image
from ecoformer.spec.config import Config
from tests.hw.bench import run_core, simulate, watch


def shape(head_dim, value_dim, k, **others):
    return Config(
        head_dim=head_dim, value_dim=value_dim, cycles_per_token=k, hash="none",
        dataflow="softmax", bus_bytes=64, parameter_sets=4, **{"max_tokens": 6, **others},
    )


SHAPES = [
    shape(1, 1, 1, max_tokens=1),
    shape(1, 1, 1, max_tokens=3),
    shape(4, 3, 1, value_width=5, token_width=4),
    shape(5, 3, 2, state_banks=3, max_tokens=5),
    shape(3, 7, 8, max_tokens=9),  # more blocks than some sequences have tokens
    shape(7, 2, 4, state_banks=5, max_tokens=21),
]


def shown(c):
    return f"D{c.head_dim}-E{c.value_dim}-k{c.cycles_per_token}-N{c.max_tokens}-b{c.state_banks}"


def packed(token, width):
    return sum((int(e) & (1 << width) - 1) << d * width for d, e in enumerate(token))


def draw(config, image, rng, *, count=None, error=None, pattern=None):
    """``(tokens, values, set, error)``; of a bad packet its tokens before the error."""
    numbers = np.random.default_rng(rng.randrange(1 << 30))
    error = rng.random() < 0.25 if error is None else error
    count = rng.randint(0 if error else 1, config.max_tokens) if count is None else count
    pattern = PATTERNS[pattern or rng.choice(list(PATTERNS))]
    x = pattern(numbers, (max(count, 1), config.head_dim), config.token_width)[:count]
    v = pattern(numbers, (max(count, 1), config.value_dim), config.value_width)[:count]
    return x, v, rng.randrange(image.sets), error


def run(config, image, packets, *, rng=None, stall=0.0):
    """Send the packets; check every block. Returns the core, launch cycles, first-block cycles."""
    expected = []
    for x, v, index, error in packets:
        if error:
            expected.append((index, 1, 1, None, None))
            continue
        numerators, denominators = softmax_sums(x, v, image.scale[index], image.shift[index])
        expected += [
            (index, i == len(x) - 1, 0, denominators[i], numerators[i].tolist())
            for i in range(len(x))
        ]

    def tokens(x, v, index, error):
        tag = {"user": index, "last": 0, "error": 0}
        scalars = {"scale": int(image.scale[index]), "shift": int(image.shift[index])}
        payloads = [
            {"code": packed(a, config.token_width), "v": b.tolist(), **scalars, "tag": dict(tag)}
            for a, b in zip(x, v, strict=True)
        ]
        if error:
            nothing = {"code": 0, "v": [0] * config.value_dim, **scalars}
            payloads.append({**nothing, "tag": {**tag, "error": 1}})
        payloads[-1]["tag"]["last"] = 1
        return payloads

    sent = [token for packet in packets for token in tokens(*packet)]
    return run_core(SoftmaxCore(config), sent, expected, rng=rng, stall=stall)


@pytest.mark.parametrize("seed, stall", [
    (0, 0), (2, 0.6), *(pytest.param(*more, marks=pytest.mark.slow) for more in [(1, 0), (3, 0.6)])
])
@pytest.mark.parametrize("config", SHAPES, ids=shown)
def test_blocks_equal_the_integer_model(config, seed, stall):
    rng = random.Random(seed)
    image = random_image(config, np.random.default_rng(seed))
    packets = [draw(config, image, rng) for _ in range(9)]
    packets += [draw(config, image, rng, count=config.max_tokens, error=False) for _ in range(2)]
    run(config, image, packets, rng=rng, stall=stall)


@pytest.mark.parametrize("config", SHAPES, ids=shown)
def test_a_sequence_of_its_own_takes_its_latency(config):
    rng = random.Random(4)
    image = random_image(config, np.random.default_rng(4))
    for count in (1, config.max_tokens):
        packet = draw(config, image, rng, count=count, error=False)
        dut, launches, firsts = run(config, image, [packet])
        assert firsts[0] - launches[0] == dut.latency + 2 * (count - 1)


def test_long_sequences_take_one_cycle_per_pair():
    config = shape(2, 3, 4, max_tokens=40)
    image = random_image(config, np.random.default_rng(5))
    packets = [draw(config, image, random.Random(5), count=40, error=False)]
    _, launches, firsts = run(config, image, packets)
    assert {b - a for a, b in zip(launches, launches[1:])} == {40}
    assert {b - a for a, b in zip(firsts, firsts[1:])} == {40}


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("config", SHAPES, ids=shown)
def test_extremes(config, pattern):
    rng, numbers = random.Random(6), np.random.default_rng(6)
    image = random_image(config, numbers)
    image.scale[:] = [0, 511, 511, 1]
    image.shift[:] = [0, 0, 12, 31]
    packets = [
        (x, v, index, False)
        for index in range(4)
        for x, v, *_ in [
            draw(config, image, rng, count=config.max_tokens, error=False, pattern=pattern)
        ]
    ]
    run(config, image, packets)


@pytest.mark.parametrize("begin", [0, 1, 4])
def test_a_scan_walks_once_around(begin):
    config = shape(1, 1, 1, max_tokens=6, state_banks=3)
    dut, seen = Scan(config), []

    async def bench(ctx):
        for bank in (2, 1):
            for name, value in (("bank", bank), ("count", 5), ("begin", begin), ("start", 1)):
                ctx.set(getattr(dut, name), value)
            await ctx.tick()
            ctx.set(dut.start, 0)
            await ctx.tick().repeat(4)
            assert ctx.get(dut.idle)
        await ctx.tick().repeat(3)

    simulate(dut, bench, background=[
        watch(seen, dut.active, dut.address, dut.position, dut.first, dut.last)
    ])
    assert [tuple(step[1:]) for step in seen] == [
        (6 * bank + (begin + i) % 5, i, i == 0, i == 4) for bank in (2, 1) for i in range(5)
    ]
