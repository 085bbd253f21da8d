# SPDX-License-Identifier: Apache-2.0
import random

import pytest
from amaranth import *

from ecoformer.hw.lib.pipeline import (
    LONG_DELAY,
    adder_tree,
    below,
    delay,
    register,
    signed_tree,
    times,
    tree_latency,
)
from ecoformer.hw.lib.steps import Steps
from tests.hw.bench import simulate


class Delayed(Elaboratable):
    def __init__(self, shape, cycles, reset):
        self.i, self.o = Signal(shape), Signal(shape)
        self.cycles, self.reset = cycles, reset

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.eq(delay(m, self.i, self.cycles, name="line", reset=self.reset))
        return m


@pytest.mark.parametrize("reset", [False, True], ids=["data", "strobe"])
@pytest.mark.parametrize("cycles", [1, 2, LONG_DELAY - 1, LONG_DELAY, LONG_DELAY + 1, 9, 16])
def test_a_delay_is_exactly_that_long(cycles, reset):
    dut = Delayed(signed(5), cycles, reset)
    rng = random.Random(cycles)
    sent = [rng.randint(-16, 15) for _ in range(60)]

    async def bench(ctx):
        for t, value in enumerate(sent):
            ctx.set(dut.i, value)
            want = sent[t - cycles] if t >= cycles else 0
            assert ctx.get(dut.o) == want, t
            await ctx.tick()

    simulate(dut, bench)


def test_no_delay_is_the_value_itself():
    m, value = Module(), Signal(5)
    assert delay(m, value, 0, name="line") is value


def test_an_empty_value_can_be_delayed():
    dut = Delayed(unsigned(0), 7, False)

    async def bench(ctx):
        await ctx.tick().repeat(9)
        assert ctx.get(dut.o) == 0

    simulate(dut, bench)


class Clearable(Elaboratable):
    """Strobe, register and long delay under a reset that a bench controls."""

    def __init__(self):
        self.i, self.clear = Signal(4), Signal()
        self.strobe, self.plain = Signal(4), Signal(4)

    def elaborate(self, platform):
        m = Module()
        chain = Module()
        chain.d.comb += [
            self.strobe.eq(delay(chain, self.i, 5, name="strobe", reset=True)),
            self.plain.eq(register(chain, self.i, name="plain_1")),
        ]
        m.submodules.chain = ResetInserter(self.clear)(chain)
        return m


def test_reset_clears_strobes_and_leaves_data():
    dut = Clearable()

    async def bench(ctx):
        ctx.set(dut.i, 9)
        await ctx.tick().repeat(8)
        assert (ctx.get(dut.strobe), ctx.get(dut.plain)) == (9, 9)
        ctx.set(dut.i, 0)
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.clear, 0)
        for _ in range(6):
            assert ctx.get(dut.strobe) == 0
            await ctx.tick()

    simulate(dut, bench)


class Tree(Elaboratable):
    def __init__(self, shape, count, fanin):
        self.terms = [Signal(shape, name=f"term_{i}") for i in range(count)]
        self.total = Signal(signed(32))
        self.fanin = fanin
        self.width = None

    def elaborate(self, platform):
        m = Module()
        total = adder_tree(m, self.terms, name="total", fanin=self.fanin)
        self.width = len(total)
        m.d.comb += self.total.eq(total)
        return m


@pytest.mark.parametrize("fanin", [2, 4])
@pytest.mark.parametrize("shape", [unsigned(1), signed(3), unsigned(4)], ids=str)
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 16, 17, 20, 65])
def test_adder_tree_sums_at_full_rate_after_its_latency(count, shape, fanin):
    dut, latency = Tree(shape, count, fanin), tree_latency(count, fanin)
    rng = random.Random(count)
    low, high = (-(1 << shape.width - 1), (1 << shape.width - 1) - 1) if shape.signed else (
        0, (1 << shape.width) - 1,
    )
    rows = [[low] * count, [high] * count, [0] * count]
    rows += [[rng.randint(low, high) for _ in range(count)] for _ in range(20)]

    async def bench(ctx):
        for t in range(len(rows) + latency):
            for term, value in zip(dut.terms, rows[min(t, len(rows) - 1)], strict=True):
                ctx.set(term, value)
            if t >= latency:
                assert ctx.get(dut.total) == sum(rows[t - latency]), t - latency
            await ctx.tick()

    simulate(dut, bench)
    # A balanced tree, not a chain: at most a bit per level more than the sum needs.
    assert dut.width <= shape.width + 2 * latency


@pytest.mark.parametrize(
    "count, fanin, latency",
    [(1, 2, 1), (2, 2, 1), (3, 2, 2), (4, 2, 2), (5, 2, 3), (128, 2, 7),
     (1, 4, 1), (4, 4, 1), (5, 4, 2), (16, 4, 2), (17, 4, 3), (64, 4, 3), (65, 4, 4)],
)
def test_tree_latency(count, fanin, latency):
    assert tree_latency(count, fanin) == latency


class SignedTree(Elaboratable):
    def __init__(self, width, count):
        self.terms = [Signal(signed(width), name=f"term_{i}") for i in range(count)]
        self.ones = [Signal(name=f"one_{i}") for i in range(count)]
        self.total = Signal(signed(32))
        self.left = Signal()
        self.width = None

    def elaborate(self, platform):
        m = Module()
        total, left = signed_tree(m, self.terms, self.ones, name="total")
        self.width = len(total)
        m.d.comb += [self.total.eq(total), self.left.eq(left)]
        return m


@pytest.mark.parametrize("width", [1, 2, 5])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 16, 33])
def test_signed_tree_adds_every_one_but_the_one_it_returns(count, width):
    dut, latency = SignedTree(width, count), tree_latency(count)
    rng = random.Random(count)
    low, high = -(1 << width - 1), (1 << width - 1) - 1
    rows = [([value] * count, [one] * count) for value in (low, 0, high) for one in (0, 1)]
    rows += [
        ([rng.randint(low, high) for _ in range(count)], [rng.randint(0, 1) for _ in range(count)])
        for _ in range(20)
    ]

    async def bench(ctx):
        for t in range(len(rows) + latency):
            for signals, values in zip((dut.terms, dut.ones), rows[min(t, len(rows) - 1)]):
                for signal, value in zip(signals, values, strict=True):
                    ctx.set(signal, value)
            if t >= latency:
                terms, ones = rows[t - latency]
                found = ctx.get(dut.total) + ctx.get(dut.left)
                assert found == sum(terms) + sum(ones), t - latency
            await ctx.tick()

    simulate(dut, bench)
    # A bit for every level with an addition, none for the ones.
    assert dut.width == width + (count - 1).bit_length()


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (5, 1), (3, 2), (4, 4), (2, 3)], ids=str)
def test_steps_walk_over_the_inputs_first(shape):
    inputs, outputs = shape
    dut, steps = Steps(inputs, outputs), inputs * outputs
    rng = random.Random(steps)
    starts = {3}
    for _ in range(12):  # back to back, or after a gap
        starts.add(max(starts) + steps + (0 if rng.random() < 0.5 else rng.randint(1, 4)))

    async def bench(ctx):
        begun = None
        for t in range(max(starts) + steps + 3):
            ctx.set(dut.start, t in starts)
            step = t - begun - 1 if begun is not None else steps
            active = step < steps
            assert ctx.get(dut.active) == active, t
            if active:
                assert ctx.get(dut.step) == step
                assert ctx.get(dut.output_step) == step // inputs
                assert ctx.get(dut.input_step) == step % inputs
                assert ctx.get(dut.input_block) == 1 << step % inputs
                assert ctx.get(dut.output_block) == 1 << step // inputs
            assert ctx.get(dut.first) == (active and step % inputs == 0)
            assert ctx.get(dut.last) == (active and step % inputs == inputs - 1)
            assert ctx.get(dut.done) == (active and step == steps - 1)
            if t in starts:
                begun = t
            await ctx.tick()

    simulate(dut, bench)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8, 9, 31, 32])
@pytest.mark.parametrize("width", [1, 3, 5])
def test_below(width, limit):
    dut, value = Module(), Signal(width)
    found = Signal()
    dut.d.sync += found.eq(below(value, limit))

    async def bench(ctx):
        for number in range(1 << width):
            ctx.set(value, number)
            await ctx.tick()
            assert ctx.get(found) == (number < limit)

    simulate(dut, bench)


@pytest.mark.parametrize("constant", [1, 2, 7, 28, 255])
def test_times_a_constant(constant):
    value, product = Signal(signed(5)), Signal(signed(16))
    m = Module()
    m.d.sync += product.eq(times(value, constant))

    async def bench(ctx):
        for number in range(-16, 16):
            ctx.set(value, number)
            await ctx.tick()
            assert ctx.get(product) == constant * number

    simulate(m, bench)
