# SPDX-License-Identifier: Apache-2.0
import random

import numpy as np
import pytest

from ecoformer.golden.integer.attention import divide
from ecoformer.hw.attention.normaliser import Normaliser
from ecoformer.spec.arithmetic import Arithmetic
from ecoformer.spec.config import Config
from tests.hw.bench import simulate, ticks, watch


def shape(code_bits, value_dim, k, **others):
    return Config(
        code_bits=code_bits, value_dim=value_dim, cycles_per_token=k, head_dim=1, anchors=1,
        bus_bytes=64, **{"max_tokens": 9, **others},
    )


CONFIGS = [
    shape(1, 1, 1, max_tokens=1, output_width=4, output_fraction=0),
    shape(4, 3, 1, output_width=5, output_fraction=12),
    shape(5, 3, 4, output_width=7, output_fraction=3),
    shape(16, 2, 8, output_width=8, output_fraction=0, offset_fraction=2),
    shape(3, 2, 32),  # more digits per stage than the interval needs
    shape(7, 2, 2, output_width=24, output_fraction=12, offset_fraction=8, max_tokens=1_000),
]


def shown(c):
    return f"b{c.code_bits}-E{c.value_dim}-k{c.cycles_per_token}-w{c.output_width}"


def draw(config, rng, count):
    """Blocks of numerators with a denominator: everything admitted, ties and edges often."""
    bits, f, width = Arithmetic(config), config.output_fraction, config.output_width
    weight = 3 * (config.code_bits << config.offset_fraction) * config.max_tokens
    limit = weight << config.value_width - 1
    assert -(1 << bits.numerator_width - 1) <= -limit and limit < 1 << bits.numerator_width - 1
    blocks = []
    for i in range(count):
        den = rng.choice((
            rng.randint(1, weight), rng.randint(1, min(4, weight)), 1, weight,
            rng.randint(-(weight // 3), 0), 0,
        ))
        top = (1 << width - 1) * max(den, 1) >> f  # where the quotient saturates
        numerators = []
        for _ in range(config.state_fold.output_lanes):
            num = rng.choice((
                rng.randint(-limit, limit),
                rng.randint(-4 * abs(den) - 3, 4 * abs(den) + 3),
                rng.choice((-1, 1)) * (top + rng.randint(-2, 2)),
                rng.randint(-3 * top, 3 * top),
                (2 * rng.randint(-50, 50) + 1) * den >> f + 1,
                limit, -limit, 0,
            ))
            numerators.append(min(max(num, -limit), limit))
        tag = {"user": i % 8, "last": i % 2, "error": i % 5 == 4}
        blocks.append((numerators, den, i % 3 == 2, tag))
    return blocks


@pytest.mark.parametrize("gaps", [False, True], ids=["full-rate", "gaps"])
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("config", CONFIGS, ids=shown)
def test_quotients_equal_the_integer_model(config, seed, gaps):
    dut, rng = Normaliser(config), random.Random(seed)
    blocks = draw(config, rng, 120)
    assert dut.interval == config.state_fold.input_steps
    sent, seen = [], []

    async def bench(ctx):
        for numerators, den, final, tag in blocks:
            block = {"numerators": numerators, "denominator": den, "final": final, "tag": tag}
            ctx.set(dut.i.payload, block)
            ctx.set(dut.i.valid, 1)
            await ctx.tick()
            ctx.set(dut.i.valid, 0)
            garbage = {**block, "numerators": [~n for n in numerators], "denominator": ~den}
            ctx.set(dut.i.payload, garbage)
            await ticks(ctx, dut.interval - 1 + (rng.randint(0, 3) if gaps else 0))
        await ctx.tick().repeat(dut.latency + 1)

    simulate(
        dut, bench, background=[watch(sent, dut.i.valid), watch(seen, dut.o.valid, dut.o.payload)]
    )
    assert [t for t, _ in seen] == [t + dut.latency for (t,) in sent]
    assert len(seen) == len(blocks)
    for (numerators, den, final, tag), (_, got) in zip(blocks, seen, strict=True):
        want = divide(config, np.array([numerators]), np.array([den]))[0].tolist()
        if tag["error"]:
            want = [0] * len(numerators)
        lanes = [got.elements[i] for i in range(len(numerators))]
        assert lanes == want, (numerators, den)
        assert got.guarded == (den <= 0 or tag["error"])
        assert got.final == final
        assert {name: got.tag[name] for name in tag} == tag


@pytest.mark.parametrize(
    "numerator, denominator, want",
    [(5, 2, 3), (-5, 2, -2), (-3, 2, -1), (1, 2, 1), (-1, 2, 0), (15, 2, 7), (-17, 2, -8),
     (-18, 2, -8), (7, 0, 0), (7, -1, 0)],
)
def test_halves_round_up(numerator, denominator, want):
    config = shape(1, 1, 1, max_tokens=9, output_width=4, output_fraction=0)
    dut, seen = Normaliser(config), []

    async def bench(ctx):
        ctx.set(dut.i.payload, {"numerators": [numerator], "denominator": denominator,
                                "final": 1, "tag": {"user": 0, "last": 0, "error": 0}})
        ctx.set(dut.i.valid, 1)
        await ctx.tick()
        ctx.set(dut.i.valid, 0)
        await ctx.tick().repeat(dut.latency + 1)

    simulate(dut, bench, background=[watch(seen, dut.o.valid, dut.o.payload)])
    assert [got.elements[0] for _, got in seen] == [want]
