# SPDX-License-Identifier: Apache-2.0
import random

import numpy as np
import pytest

from ecoformer.hw.stream.collector import Collector
from ecoformer.hw.stream.sender import Sender
from ecoformer.hw.stream.words import Words
from ecoformer.spec.config import Config
from ecoformer.spec.wire import pack_outputs
from tests.hw.bench import get, receive, send, simulate, ticks, watch


def shape(code_bits, value_dim, k, **others):
    return Config(
        code_bits=code_bits, value_dim=value_dim, cycles_per_token=k, head_dim=1, anchors=1,
        max_tokens=4, parameter_sets=4, **{"bus_bytes": 64, **others},
    )


CONFIGS = [
    shape(1, 1, 1, output_width=4),
    shape(4, 3, 2, output_width=9),
    shape(7, 5, 8, output_width=24, bus_bytes=4),
    shape(2, 11, 16, output_width=13, bus_bytes=2),
    shape(2, 4, 8, output_width=8, bus_bytes=1),
    shape(2, 11, 16, output_width=13, bus_bytes=4),  # two blocks a beat, the last half empty
    shape(2, 11, 32, output_width=17, bus_bytes=2),  # two blocks and three beats a word
    shape(4, 24, 32, output_width=8, bus_bytes=2),
    shape(1, 7, 8, output_width=20, bus_bytes=4),  # the bus is slower than the blocks
    shape(16, 5, 64, output_width=24, bus_bytes=2),
    shape(7, 5, 8, output_width=24, bus_bytes=4, tkeep=True),
    shape(2, 11, 16, output_width=13, bus_bytes=4, tkeep=True),
    shape(4, 24, 32, output_width=8, bus_bytes=2, tkeep=True),  # no padding
]


def test_a_word_is_the_fewest_blocks_that_fill_whole_beats():
    seen = set()
    for c in CONFIGS:
        words, fold = Words(c), c.state_fold
        word_bytes = words.elements * c.output_element_bytes
        assert words.elements == words.blocks * fold.output_lanes
        assert words.count * words.blocks >= fold.output_steps > (words.count - 1) * words.blocks
        assert (words.count - 1) * words.elements + words.last_elements == c.value_dim
        assert (words.count - 1) * words.beats + words.last_beats == c.output_beats
        if words.count > 1:
            assert word_bytes == words.beats * c.bus_bytes
            fewer = range(1, words.blocks)
            assert all(n * fold.output_lanes * c.output_element_bytes % c.bus_bytes for n in fewer)
        seen.add((words.count > 1, words.blocks > 1, words.beats > 1))
    assert len(seen) > 4, seen


def shown(c):
    keep = "-keep" * c.tkeep
    return (
        f"b{c.code_bits}-E{c.value_dim}-k{c.cycles_per_token}-w{c.output_width}-B{c.bus_bytes}{keep}"
    )


def draw(config, rng, count):
    """Random results: ``(elements, tag)``."""
    limit = 1 << config.output_width - 1
    return [
        (
            [rng.choice((-limit, limit - 1, rng.randint(-limit, limit - 1)))
             for _ in range(config.value_dim)],
            {"user": rng.randrange(4), "last": rng.randint(0, 1), "error": int(rng.random() < 0.2)},
        )
        for _ in range(count)
    ]


def beats_of(config, elements, tag):
    """``(data, last, user, error, keep)`` of every beat of a result; keep is 0 without tkeep."""
    whole = (1 << config.bus_bytes) - 1
    if tag["error"]:
        return [(0, tag["last"], tag["user"], 1, whole * config.tkeep)]
    padding = len(pack_outputs(config, np.array([elements]))) * config.bus_bytes
    padding -= config.value_dim * config.output_element_bytes
    rows = pack_outputs(config, np.array([elements]))
    words = [int.from_bytes(bytes(row), "little") for row in rows]
    return [
        (word, int(tag["last"] and i == len(words) - 1), tag["user"], 0,
         config.tkeep * (whole >> padding * (i == len(words) - 1)))
        for i, word in enumerate(words)
    ]


def words_of(config, rng, elements, tag):
    """The words of a result; the part that is not sent is garbage. In a bad packet they are 0."""
    words = Words(config)
    if tag["error"]:
        return [{"elements": [0] * words.elements, "end": 1, "tag": tag}]
    limit = 1 << config.output_width - 1
    elements = elements + [rng.randint(-limit, limit - 1) for _ in range(words.elements)]
    places = range(0, words.count * words.elements, words.elements)
    return [
        {
            "elements": elements[place : place + words.elements],
            "end": int(place == places[-1]), "tag": tag,
        }
        for place in places
    ]


@pytest.mark.parametrize("stall", [0.0, 0.5], ids=["full-rate", "stalls"])
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("config", CONFIGS, ids=shown)
def test_sender(config, seed, stall):
    dut, rng = Sender(config), random.Random(seed)
    results = draw(config, rng, 20)
    want = [beat for result in results for beat in beats_of(config, *result)]
    sent = []

    async def source(ctx):
        payloads = [word for result in results for word in words_of(config, rng, *result)]
        await send(ctx, dut.i, payloads, rng=rng, stall=stall)

    async def sink(ctx):
        beats = await receive(ctx, dut.o, len(want), rng=rng, stall=stall)
        keep = [b.keep if config.tkeep else 0 for b in beats]
        got = [(b.data, b.last, b.user, b.error) for b in beats]
        assert [(*beat, k) for beat, k in zip(got, keep, strict=True)] == want
        await ctx.tick().repeat(8)
        assert not ctx.get(dut.o.valid)

    simulate(dut, source, sink, background=[watch(sent, dut.o.valid & dut.o.ready)])
    if not stall:
        first = sent[0][0]
        assert [t for (t,) in sent] == list(range(first, first + len(want))), "a gap"


@pytest.mark.parametrize("stall", [0.0, 0.6], ids=["full-rate", "stalls"])
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("config", CONFIGS, ids=shown)
def test_collector(config, seed, stall):
    """The core, played by the bench: starts when granted, answers ``latency`` cycles later."""
    latency, count = 7, 30
    dut = Collector(config, latency, config.cycles_per_token)
    rng, fold = random.Random(seed), config.state_fold
    results = draw(config, rng, count)
    guards = [int(rng.random() < 0.3) for _ in range(count)]
    launches, taken, guarded = [], [], []

    async def core(ctx):
        schedule, started, cycle = {}, 0, 0
        next_start = 0
        while started < count or schedule:
            launch = bool(
                started < count and cycle >= next_start and ctx.get(dut.grant)
            )
            ctx.set(dut.launch, launch)
            if launch:
                elements, tag = results[started]
                padded = elements + [5] * (fold.output_lanes * fold.output_steps)
                for step in range(fold.output_steps):
                    final = step == fold.output_steps - 1
                    first = step * fold.output_lanes
                    schedule[cycle + latency + step * fold.input_steps] = {
                        "elements": padded[first : first + fold.output_lanes],
                        "final": final, "guarded": guards[started], "tag": tag,
                    }
                started += 1
                next_start = cycle + config.cycles_per_token
            block = schedule.pop(cycle, None)
            ctx.set(dut.i.valid, block is not None)
            if block:
                ctx.set(dut.i.payload, block)
            await ctx.tick()
            cycle += 1
        ctx.set(dut.launch, 0)
        ctx.set(dut.i.valid, 0)

    async def sink(ctx):
        if stall:
            await ctx.tick().repeat((dut.depth + 1) * config.cycles_per_token + 20)
            assert len(launches) == dut.depth and not ctx.get(dut.grant)
        words = dut.words
        for elements, tag in results:
            if stall:
                await ticks(ctx, rng.randint(0, 3 * config.cycles_per_token))
            got = []
            for word in range(1 if tag["error"] else words.count):
                result = await get(ctx, dut.o)
                assert result.end == (tag["error"] or word == words.count - 1)
                assert {name: result.tag[name] for name in tag} == tag
                got += [result.elements[i] for i in range(words.elements)]
            assert tag["error"] or got[: config.value_dim] == elements
        await ctx.tick().repeat(5)
        assert not ctx.get(dut.o.valid) and ctx.get(dut.grant)

    simulate(
        dut, core, sink,
        background=[
            watch(launches, dut.launch),
            watch(taken, dut.o.valid & dut.o.ready & dut.o.payload.end),
            watch(guarded, dut.guarded),
        ],
    )
    assert len(guarded) == sum(
        guard and not tag["error"] for guard, (_, tag) in zip(guards, results, strict=True)
    )
    if not stall:
        wait = latency + dut.words.arrival(dut.words.count - 1)
        assert [t for (t,) in taken] == [t + wait for (t,) in launches]
        steps = {b[0] - a[0] for a, b in zip(launches, launches[1:], strict=False)}
        assert steps == {config.cycles_per_token}, "the buffer holds back a full-rate core"
