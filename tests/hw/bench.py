# SPDX-License-Identifier: Apache-2.0
"""Benches for Amaranth's own simulator: streams, stalls, a watchdog and waveforms."""

import os
from contextlib import nullcontext

from amaranth import Const
from amaranth.sim import Simulator

__all__ = [
    "CLOCK", "get", "idle", "load", "put", "receive", "run_core", "send", "simulate", "ticks",
    "watch",
]

CLOCK = 1e-8


async def put(ctx, port, payload):
    """Offer ``payload`` until it is taken."""
    ctx.set(port.payload, payload)
    ctx.set(port.valid, 1)
    await ctx.tick().until(port.ready)
    ctx.set(port.valid, 0)


async def get(ctx, port):
    """Take one payload."""
    ctx.set(port.ready, 1)
    (payload,) = await ctx.tick().sample(port.payload).until(port.valid)
    ctx.set(port.ready, 0)
    return payload


async def ticks(ctx, count):
    """Wait ``count`` cycles, perhaps none."""
    for _ in range(count):
        await ctx.tick()


async def idle(ctx, rng, stall):
    """Wait a random number of cycles: another one with probability ``stall``."""
    while stall and rng.random() < stall:
        await ctx.tick()


async def send(ctx, port, payloads, *, rng=None, stall=0.0):
    """Offer ``payloads`` one after another, with random gaps."""
    for payload in payloads:
        await idle(ctx, rng, stall)
        await put(ctx, port, payload)


async def receive(ctx, port, count, *, rng=None, stall=0.0):
    """Take ``count`` payloads, with random back-pressure."""
    taken = []
    for _ in range(count):
        await idle(ctx, rng, stall)
        taken.append(await get(ctx, port))
    return taken


def watch(into, condition, *values):
    """Background bench: append ``(cycle, *values)`` of every cycle in which ``condition`` is 1."""

    async def bench(ctx):
        cycle = 0
        async for _, _, strobe, *sampled in ctx.tick().sample(condition, *values):
            if strobe:
                into.append((cycle, *sampled))
            cycle += 1

    return bench


async def load(ctx, write, words, slot=0):
    """Perform the register writes ``words`` (address, data) on a parameter write port."""
    for address, word in words:
        ctx.set(write.enable, 1 << (address >> 28))
        ctx.set(write.row, address >> 12 & 0xFFFF)
        ctx.set(write.word, address & 0xFFF)
        ctx.set(write.data, word)
        ctx.set(write.slot, slot)
        await ctx.tick()
    ctx.set(write.enable, 0)


def simulate(dut, *benches, background=(), cycles=50_000):
    """Run ``benches`` against ``dut``; fail instead of hanging. ``VCD=file`` records a waveform."""

    async def watchdog(ctx):
        await ctx.delay(cycles * CLOCK)
        raise TimeoutError(f"testbench still running after {cycles} cycles")

    simulator = Simulator(dut)
    simulator.add_clock(CLOCK)
    for bench in benches:
        simulator.add_testbench(bench)
    for bench in (*background, watchdog):
        simulator.add_testbench(bench, background=True)
    with simulator.write_vcd(vcd) if (vcd := os.getenv("VCD")) else nullcontext():
        simulator.run()


def run_core(dut, tokens, expected, *, rng=None, stall=0.0):
    """Send ``tokens`` to an attention core and check every block.

    ``expected``: ``(user, last, error, denominator, numerators)`` of every result token. Returns
    the core, its launch cycles, and the cycles of the first blocks.
    """
    config, fold = dut.config, dut.config.state_fold
    launches, blocks, wrong, numerators = [], [], [], []

    async def source(ctx):
        for token in tokens:
            await idle(ctx, rng, stall / 2)
            await put(ctx, dut.keys, token)

    async def allow(ctx):
        granted = not stall
        ctx.set(dut.grant, granted)
        async for _, _, launch in ctx.tick().sample(dut.launch):
            granted = not stall or (granted and not launch) or rng.random() > stall
            ctx.set(dut.grant, granted)

    async def wait(ctx):
        while len(blocks) < len(expected) * fold.output_steps:
            await ctx.tick()
        await ctx.tick().repeat(4 * config.cycles_per_token + 2 * dut.latency + config.max_tokens)

    simulate(
        dut, source, wait,
        background=[
            allow,
            watch(launches, dut.launch, dut.grant),
            watch(blocks, dut.blocks.valid, dut.blocks.payload),
            watch(wrong, dut.launch & ~dut.grant),
            watch(numerators, Const(1), dut.blocks.payload.numerators),
        ],
    )
    assert not wrong, "launched without grant"
    assert len(launches) == len(expected)
    assert len(blocks) == len(expected) * fold.output_steps
    firsts = []
    for i, (user, last, error, denominator, wanted) in enumerate(expected):
        mine = blocks[i * fold.output_steps : (i + 1) * fold.output_steps]
        firsts.append(mine[0][0])
        assert [t - mine[0][0] for t, _ in mine] == [
            step * fold.input_steps for step in range(fold.output_steps)
        ], i
        assert [b.final for _, b in mine] == [0] * (fold.output_steps - 1) + [1], i
        final = mine[-1][1]
        assert (final.tag.user, final.tag.last, final.tag.error) == (user, last, error), i
        assert all(b.tag.error == error for _, b in mine)
        if not error:
            assert [b.denominator for _, b in mine] == [denominator] * fold.output_steps, i
            lanes = [numerators[t + lag][1][i] for t, _ in mine for i, lag in enumerate(dut.lags)]
            assert lanes[: config.value_dim] == wanted, i
    return dut, [t for t, _ in launches], firsts
