# SPDX-License-Identifier: Apache-2.0
"""Tokens sent to a component and collected from it, element by element."""

from tests.hw.bench import idle, simulate

__all__ = ["run_tokens"]


def beats_of(token, lanes):
    """A token in beats of ``lanes`` elements, the last one padded with what must not matter."""
    padded = [*token, *[1] * (-len(token) % lanes)]
    return [padded[i : i + lanes] for i in range(0, len(padded), lanes)]


def run_tokens(dut, tokens, count, *, rng=None, stall=0.0, slots=3, hold=0, elements=None):
    """Tokens that ``dut`` makes of ``tokens``, and the cycle in which each was complete.

    The sink has room for ``slots`` tokens and keeps each for ``hold`` cycles; with ``stall`` the
    source pauses between elements and the sink keeps tokens longer. Both check the other's credit.

    Parameters
    ----------
    tokens : list of list of int
    count : int
        Tokens to wait for.
    elements : int
        Of a token on ``o``; as many as on ``i`` by default.
    """
    width = elements or len(tokens[0])
    lanes = dut.i.signature.lanes
    assert lanes == dut.o.signature.lanes
    found, cycles, begun = [], [], [0]

    async def source(ctx):
        for token in tokens:
            await idle(ctx, rng, stall)
            while not ctx.get(dut.i.room):
                await ctx.tick()
            ctx.set(dut.i.begin, 1)
            await ctx.tick()
            ctx.set(dut.i.begin, 0)
            for beat in beats_of(token, lanes):
                await idle(ctx, rng, stall)
                ctx.set(dut.i.element, beat if lanes > 1 else beat[0])
                ctx.set(dut.i.valid, 1)
                await ctx.tick()
                ctx.set(dut.i.valid, 0)

    async def sink(ctx):
        free, cycle, current, held = slots, 0, [], []
        ctx.set(dut.o.room, 1)
        async for _, _, begin, valid, element in ctx.tick().sample(
            dut.o.begin, dut.o.valid, dut.o.element
        ):
            cycle += 1
            if begin:
                assert free, "a token began without room"
                free -= 1
                begun[0] += 1
            if valid:
                current += [element] if lanes == 1 else [*element]
                assert len(found) < begun[0], "an element before its token began"
            if len(current) >= width:
                found.append(current[:width])
                cycles.append(cycle)
                current = []
                held.append(hold)
            held = [left - 1 for left in held]
            if held and held[0] < 0 and not (stall and rng.random() < stall):
                held.pop(0)
                free += 1
            ctx.set(dut.o.room, free > 0)

    async def bench(ctx):
        while len(found) < count:
            await ctx.tick()
        await ctx.tick().repeat(50)

    simulate(dut, bench, background=[source, sink])
    assert len(found) == count
    return found, cycles
