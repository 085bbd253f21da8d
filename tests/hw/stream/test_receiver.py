# SPDX-License-Identifier: Apache-2.0
import math
import random

import numpy as np
import pytest
from amaranth import *

from ecoformer.hw.stream.receiver import Receiver
from ecoformer.spec.config import Config
from ecoformer.spec.registers import Error
from ecoformer.spec.wire import pack_sequence
from tests.hw.bench import idle, put, simulate, watch

UNLOADED = 3


def shape(head_dim, value_dim, bus_bytes, **others):
    return Config(
        head_dim=head_dim, value_dim=value_dim, bus_bytes=bus_bytes, cycles_per_token=16,
        code_bits=2, anchors=1, parameter_sets=4, **{"max_tokens": 3, **others},
    )


CONFIGS = {
    "one-beat": shape(2, 1, 4),
    "exact": shape(4, 4, 4, token_width=5, value_width=4),
    "ragged": shape(5, 2, 3),
    "bytes": shape(3, 1, 1, max_tokens=2),
    "one-token": shape(2, 3, 2, max_tokens=1),
    "one-beat, tkeep": shape(2, 1, 4, tkeep=True),
    "ragged, tkeep": shape(5, 2, 3, tkeep=True),
    "bytes, tkeep": shape(3, 1, 1, max_tokens=2, tkeep=True),
}
NULL_BYTES = ("null byte", "null byte, overlong", "null byte, truncated", "null byte, unknown")
KINDS = ("good", "truncated", "overlong", "unknown", "overlong and truncated", "unknown, short")


class Bench(Elaboratable):
    """A receiver with a slot table that changes under it: slot = user + epoch."""

    def __init__(self, config):
        self.dut = Receiver(config)
        self.epoch = Signal(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = self.dut
        m.d.comb += [
            self.dut.slot.eq((self.dut.user + self.epoch) % 5),
            self.dut.known.eq(self.dut.user != UNLOADED),
        ]
        return m


def draw(config, rng, kind):
    """Beats of one packet, (data, keep), its set, its tokens and values."""
    n = {"good": rng.randint(1, config.max_tokens)}.get(kind, config.max_tokens)
    if kind == "truncated":
        n = rng.randint(1, config.max_tokens)
    elif "overlong" in kind:
        n += rng.randint(1, 3)
    numbers = np.random.default_rng(rng.randrange(1 << 32))
    x = numbers.integers(-(1 << config.token_width - 1), 1 << config.token_width - 1,
                         (n, config.head_dim))
    v = numbers.integers(-(1 << config.value_width - 1), 1 << config.value_width - 1,
                         (n, config.value_dim))
    beats = [int.from_bytes(bytes(row), "little") for row in pack_sequence(config, x, v)]
    beats = [(data, kept(config, i)) for i, data in enumerate(beats)]
    if "null byte" in kind:
        at, place = rng.randrange(len(beats)), rng.randrange(config.bus_bytes)
        beats[at] = beats[at][0], beats[at][1] ^ 1 << place
    if "truncated" in kind and config.input_beats > 1:
        beats = beats[: -rng.randint(1, config.input_beats - 1)]
    if "short" in kind:
        beats = beats[: rng.randint(1, len(beats))]
    return beats, UNLOADED if "unknown" in kind else rng.randrange(3), x, v


def kept(config, beat):
    """``tkeep`` of a beat of a packet, byte by byte; 0 without it."""
    first = beat % config.input_beats * config.bus_bytes
    data = range(first, min(first + config.bus_bytes, config.token_bytes))
    return sum(1 << byte - first for byte in data) * config.tkeep


def verdict(config, beats, user):
    """Tokens delivered, and ``(beat, error)`` of the first error or None: the written contract."""
    if user == UNLOADED:
        return 0, (0, Error.UNKNOWN_SET)
    for i in range(len(beats)):
        token, place = divmod(i, config.input_beats)
        if token == config.max_tokens:
            return config.max_tokens, (i, Error.TOO_LONG)
        if beats[i][1] != kept(config, i):
            return token, (i, Error.KEEP_MISMATCH)
        if i == len(beats) - 1 and place != config.input_beats - 1:
            return token, (i, Error.MISALIGNED)
    return len(beats) // config.input_beats, None


def aborted(config, packet, taken, aborts, verdict):
    """``verdict`` of a packet whose beats were taken in the cycles ``taken``, after the aborts.

    The first abort after the cycle of the first beat and not after that of the last one counts,
    unless the packet was found bad before or in the same cycle.
    """
    tokens, error = verdict
    found = taken[error[0]] if error else math.inf
    hit = next((cycle for cycle in aborts if taken[0] < cycle <= taken[-1]), math.inf)
    if hit >= found or hit == math.inf:
        return tokens, error and (found, error[1])
    complete = [cycle for cycle in taken if cycle < hit]
    return len(complete) // config.input_beats, (hit, Error.ABORTED)


def run(config, packets, *, rng, stall=0.0, abort=0.0):
    bench = Bench(config)
    dut = bench.dut
    begun, strobes, taken, tokens, aborts = [], [], [], [], []

    async def source(ctx):
        ctx.set(dut.o.ready, 1)
        for beats, user, _, _ in packets:
            for i, beat in enumerate(beats):
                await idle(ctx, rng, stall)
                # Only the first beat's user counts.
                shown = user if i == 0 else rng.randrange(4)
                last = int(i == len(beats) - 1)
                sent = {"data": beat[0], "last": last, "user": shown, "keep": beat[1]}
                await put(ctx, dut.i, {name: sent[name] for name in dut.i.payload.shape().members})
        await ctx.tick().repeat(60)
        assert not ctx.get(dut.o.valid)

    async def sink(ctx):
        while stall:
            await ctx.tick()
            ctx.set(dut.o.ready, rng.random() >= stall)

    async def change(ctx):
        while True:
            ctx.set(bench.epoch, rng.randint(0, 1))
            ctx.set(dut.abort, rng.random() < abort)
            await ctx.tick()

    simulate(
        bench, source,
        background=[
            sink,
            change,
            watch(begun, dut.begin, bench.epoch),
            watch(taken, dut.i.valid & dut.i.ready),
            watch(strobes, dut.errors.any(), dut.errors),
            watch(tokens, dut.o.valid & dut.o.ready, dut.o.payload),
            watch(aborts, dut.abort),
        ],
    )
    starts = np.cumsum([0, *(len(beats) for beats, *_ in packets)]).tolist()
    taken = [cycle for (cycle,) in taken]
    assert [cycle for cycle, _ in begun] == [taken[start] for start in starts[:-1]]
    verdicts = [
        aborted(
            config, packet, taken[start:end], [cycle for (cycle,) in aborts],
            verdict(config, *packet[:2]),
        )
        for packet, start, end in zip(packets, starts, starts[1:], strict=False)
    ]
    assert strobes == [(error[0], 1 << error[1]) for _, error in verdicts if error]
    tokens = [token for _, token in tokens]
    for n, ((count, error), (_, user, x, v)) in enumerate(zip(verdicts, packets, strict=True)):
        slot = (user + begun[n][1]) % 5
        for i in range(count):
            token = tokens.pop(0)
            assert [token.x[j] for j in range(config.head_dim)] == x[i].tolist(), (n, i)
            assert [token.v[j] for j in range(config.value_dim)] == v[i].tolist(), (n, i)
            assert (token.tag.user, token.tag.error) == (user, 0), (n, i)
            assert token.slot == slot, (n, i)
            assert token.tag.last == (error is None and i == count - 1), (n, i)
        if error is not None:
            token = tokens.pop(0)
            assert (token.tag.user, token.tag.error, token.tag.last) == (user, 1, 1), n
    assert not tokens
    return taken, verdicts


@pytest.mark.parametrize("stall", [0.0, 0.5], ids=["full-rate", "stalls"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CONFIGS)
def test_errors_are_found_on_their_beat_and_the_next_packet_is_exact(name, kind, stall):
    config, rng = CONFIGS[name], random.Random(f"{name}{kind}")
    packets = []
    for _ in range(5):
        packets += [draw(config, rng, kind), draw(config, rng, "good")]
    packets += [draw(config, rng, kind) for _ in range(2)]
    _, counts = run(config, packets, rng=rng, stall=stall)
    wanted = {
        "good": None, "truncated": Error.MISALIGNED, "overlong": Error.TOO_LONG,
        "unknown": Error.UNKNOWN_SET, "overlong and truncated": Error.TOO_LONG,
        "unknown, short": Error.UNKNOWN_SET,
    }[kind]
    if config.input_beats > 1 or wanted is not Error.MISALIGNED:
        assert counts[0][1] is None if wanted is None else counts[0][1][1] is wanted


def kinds(config):
    """What may be wrong with a packet."""
    return KINDS + NULL_BYTES if config.tkeep else KINDS


@pytest.mark.parametrize("stall", [0.0, 0.5], ids=["full-rate", "stalls"])
@pytest.mark.parametrize("kind", NULL_BYTES)
@pytest.mark.parametrize("name", [name for name, config in CONFIGS.items() if config.tkeep])
def test_null_bytes_in_data_and_data_in_padding_are_found(name, kind, stall):
    config, rng = CONFIGS[name], random.Random(f"{name}{kind}")
    packets = []
    for _ in range(12):
        packets += [draw(config, rng, kind), draw(config, rng, "good")]
    _, verdicts = run(config, packets, rng=rng, stall=stall)
    found = [error[1] for _, error in verdicts[::2] if error]
    assert (Error.UNKNOWN_SET if "unknown" in kind else Error.KEEP_MISMATCH) in found


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", CONFIGS)
def test_any_order_of_packets(name, seed):
    config, rng = CONFIGS[name], random.Random(seed)
    packets = [draw(config, rng, rng.choice(kinds(config))) for _ in range(16)]
    run(config, packets, rng=rng, stall=0.3 * seed)


@pytest.mark.parametrize("stall", [0.0, 0.5], ids=["full-rate", "stalls"])
@pytest.mark.parametrize("name", CONFIGS)
def test_an_abort_at_any_cycle_is_one_error(name, stall):
    """Also on the cycle of a beat, of the last beat, of a beat that is an error itself."""
    config, rng = CONFIGS[name], random.Random(name)
    count = 300 if config.tkeep else 150
    packets = [draw(config, rng, rng.choice(["good", *kinds(config)])) for _ in range(count)]
    taken, verdicts = run(config, packets, rng=rng, stall=stall, abort=0.1)
    ends = np.cumsum([len(beats) for beats, *_ in packets]) - 1
    found = [error for _, error in verdicts if error]
    aborts = [cycle for cycle, error in found if error is Error.ABORTED]
    assert len(aborts) > 5 and len({error for _, error in found}) >= 3
    assert {*aborts} & {taken[end] for end in ends}, "none on a last beat"
    if stall or config.input_beats > 1:
        assert None in [error for _, error in verdicts]


@pytest.mark.parametrize("name", CONFIGS)
def test_good_packets_are_taken_without_a_gap(name):
    config, rng = CONFIGS[name], random.Random(1)
    taken, _ = run(config, [draw(config, rng, "good") for _ in range(6)], rng=rng)
    assert taken == list(range(taken[0], taken[0] + len(taken)))


def test_starved_means_a_packet_waits_for_its_next_beat():
    config = CONFIGS["exact"]
    bench, seen = Bench(config), []

    async def source(ctx):
        await ctx.tick().repeat(3)
        await put(ctx, bench.dut.i, {"data": 0, "last": 0, "user": 0})
        await ctx.tick().repeat(4)
        await put(ctx, bench.dut.i, {"data": 0, "last": 1, "user": 0})
        await ctx.tick().repeat(3)

    simulate(bench, source, background=[watch(seen, bench.dut.starved)])
    assert len(seen) == 4
