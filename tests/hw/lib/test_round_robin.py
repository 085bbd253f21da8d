# SPDX-License-Identifier: Apache-2.0
import random

import pytest
from amaranth.lib import data

from ecoformer.hw.lib.round_robin import Joiner, Splitter
from tests.hw.bench import receive, send, simulate, watch

TOKEN = data.StructLayout({"number": 8, "tag": data.StructLayout({"last": 1})})
WORD = data.StructLayout({"number": 8, "end": 1, "tag": data.StructLayout({"last": 1})})


def packets(rng, count, words):
    """Packets of payloads with numbers of their own; with ``words``, of several words a token."""
    numbers = iter(range(256))
    made = []
    for _ in range(count):
        length = rng.choice((1, 1, 2, 3, 7))
        packet = [{"tag": {"last": int(i == length - 1)}} for i in range(length)]
        if words:
            packet = [
                {**token, "end": end} for token in packet for end in rng.choice(([1], [0, 1]))
            ]
        made.append([{**payload, "number": next(numbers)} for payload in packet])
    return made


def numbers(payloads):
    return [payload["number"] for payload in payloads]


@pytest.mark.parametrize("stall", [0.0, 0.5], ids=["full-rate", "stalls"])
@pytest.mark.parametrize("count", [2, 3, 16])
def test_packets_go_to_the_outputs_in_turn(count, stall):
    dut, rng = Splitter(TOKEN, count), random.Random(count)
    sent = packets(rng, 3 * count + 1, words=False)
    flat, moves = sum(sent, []), []

    async def source(ctx):
        await send(ctx, dut.i, flat, rng=rng, stall=stall)

    def sink(index):
        want = sum(sent[index::count], [])

        async def bench(ctx):
            got = await receive(ctx, dut.o[index], len(want), rng=rng, stall=stall)
            assert [payload.number for payload in got] == numbers(want)
            assert [payload.tag.last for payload in got] == [p["tag"]["last"] for p in want]

        return bench

    simulate(
        dut, source, *map(sink, range(count)), background=[watch(moves, dut.i.valid & dut.i.ready)]
    )
    if not stall:
        assert [t for (t,) in moves] == list(range(len(flat))), "a gap"


@pytest.mark.parametrize("stall", [0.0, 0.5], ids=["full-rate", "stalls"])
@pytest.mark.parametrize("count", [2, 3, 16])
def test_answers_come_in_turn(count, stall):
    """However early those of another turn are there."""
    dut, rng = Joiner(WORD, count), random.Random(count)
    sent = packets(rng, 3 * count + 1, words=True)
    flat, moves = sum(sent, []), []

    def source(index):
        async def bench(ctx):
            await send(ctx, dut.i[index], sum(sent[index::count], []), rng=rng, stall=stall)

        return bench

    async def sink(ctx):
        got = await receive(ctx, dut.o, len(flat), rng=rng, stall=stall)
        assert [payload.number for payload in got] == numbers(flat)
        assert [payload.end for payload in got] == [p["end"] for p in flat]

    simulate(
        dut, *map(source, range(count)), sink, background=[watch(moves, dut.o.valid & dut.o.ready)]
    )
    if not stall:
        assert [t for (t,) in moves] == list(range(len(flat))), "a gap"
