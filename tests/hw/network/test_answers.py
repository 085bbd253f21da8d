# SPDX-License-Identifier: Apache-2.0
"""The best of the scores of a token, by themselves."""

from dataclasses import replace

import numpy as np
import pytest

from ecoformer.hw.network.answers import Answers
from ecoformer.spec.arithmetic import signed_range
from tests.golden.integer.network.decoders import make_decoder
from tests.hw.bench import simulate
from tests.hw.network.links import beats_of


@pytest.mark.parametrize("vocabulary, lanes", [(2, 1), (5, 1), (27, 4), (8, 4), (7, 2), (2, 4)])
def test_the_first_of_the_largest_scores_wins(vocabulary, lanes):
    hidden = 16 * lanes
    design = replace(make_decoder(), vocabulary=vocabulary, hidden=hidden, answer="best")
    assert design.lanes == lanes
    dut = Answers(design, 8, 20)
    low, high = signed_range(dut.width)
    rng = np.random.default_rng(1)
    rows = [
        *rng.integers(low, high + 1, (6, vocabulary)), *rng.integers(-1, 2, (12, vocabulary)),
        np.full(vocabulary, low), np.full(vocabulary, high), np.full(vocabulary, -1),
    ]
    found = []

    async def feed(ctx):
        for number, row in enumerate(rows):
            ctx.set(dut.tagged, 1)
            ctx.set(dut.context, number % design.contexts)
            await ctx.tick().until(dut.ready)
            ctx.set(dut.tagged, 0)
            while not ctx.get(dut.i.room):
                await ctx.tick()
            ctx.set(dut.i.begin, 1)
            await ctx.tick()
            ctx.set(dut.i.begin, 0)
            for beat in beats_of(row.tolist(), lanes):
                ctx.set(dut.i.element, beat if lanes > 1 else beat[0])
                ctx.set(dut.i.valid, 1)
                await ctx.tick()
            ctx.set(dut.i.valid, 0)

    async def take(ctx):
        ctx.set(dut.o.ready, 1)
        while len(found) < len(rows):
            payload, = await ctx.tick().sample(dut.o.payload).until(dut.o.valid)
            assert payload.last and not payload.error
            assert payload.context == len(found) % design.contexts
            found.append(payload.data)

    simulate(dut, take, background=[feed])
    assert found == [int(row.argmax()) for row in rows]
