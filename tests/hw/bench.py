"""Benches for Amaranth's own simulator: streams, stalls, a watchdog and waveforms."""

import os
from contextlib import nullcontext

from amaranth.sim import Simulator

__all__ = ["CLOCK", "get", "idle", "load", "put", "receive", "send", "simulate", "ticks", "watch"]

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
        ctx.set(write.enable, 1)
        ctx.set(write.region, address >> 28)
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
