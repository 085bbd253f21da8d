# SPDX-License-Identifier: Apache-2.0
"""No sum overflows and every quotient is exact, at the widths of every preset."""

import pytest
from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ecoformer.hw.attention.normaliser import Normaliser
from ecoformer.hw.attention.state import StateArray
from ecoformer.hw.lib.divider import _digit
from ecoformer.hw.lib.pipeline import delay
from ecoformer.spec.arithmetic import Arithmetic
from tests.formal.configs import NAMES, TINY, named
from tests.formal.prover import Bench

SPARE = 4
"""Bits by which a sum that cannot overflow is wider than the one under proof."""


def accumulation(config, width):
    """One lane of the state beside a wider sum, over at most ``max_tokens`` tokens.

    Invariant: after n tokens the sum lies within ±n·2^(value_width-1).
    """
    shape = {"depth": 1, "input_lanes": 1, "output_lanes": 1, "banks": 1}
    bench = Bench(StateArray(width=width, value_width=config.value_width, **shape))
    m, dut = bench.m, bench.dut

    def late(value, name):
        for cycle in range(dut.latency):
            value = bench.past(value, f"{name}_{cycle}")
        return value

    first, sign, value = (
        late(given, name)
        for given, name in ((dut.first, "first"), (dut.signs, "sign"), (dut.values[0], "value"))
    )
    accumulate = delay(m, dut.accumulate, dut.latency, name="accumulate", reset=True)
    begun = Signal()
    tokens = Signal(range(config.max_tokens + 2))
    total = Signal(signed(width + SPARE))
    with m.If(accumulate):
        m.d.sync += [
            begun.eq(1),
            tokens.eq(Mux(first, 1, tokens + 1)),
            total.eq(Mux(first, 0, total) + Mux(sign, value, -value)),
        ]
    bench.assume(dut.last)  # so that every sum can be seen
    bench.assume(~accumulate | first | (begun & (tokens != config.max_tokens)))
    bound = tokens << (config.value_width - 1)
    running = bench.inner("running").as_signed()
    bench.always("the accumulator is the exact sum", ~begun | (running == total))
    bench.always("the state is the exact sum", ~begun | (dut.row[0] == total))
    bench.always("n tokens add up to at most n·2^(value_width-1)",
                 (total <= bound) & (total >= -bound))
    bench.always("at most max_tokens", tokens <= config.max_tokens)
    return bench


@pytest.mark.parametrize("name", NAMES)
def test_state_never_overflows(proof, name):
    config = named(name)
    bench = accumulation(config, Arithmetic(config).state_width)
    proof("StateArray", name, bench.induction(3))


def test_a_state_two_bits_narrower_overflows():
    verdict = accumulation(TINY, Arithmetic(TINY).state_width - 2).induction(3)
    assert not verdict.proved
    assert "the state is the exact sum" in verdict.trace


class Digit(wiring.Component):
    """One step of the division, without a register."""

    def __init__(self, config):
        self.width = config.output_width
        self.divisor_width = Arithmetic(config).denominator_width
        size = self.divisor_width + self.width
        super().__init__(
            {"pair": In(size), "divisor": In(signed(self.divisor_width)), "next": Out(size)}
        )

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.next.eq(_digit(self.pair, self.divisor, self.width))
        return m


def digit(config, divisor_at_least=1):
    """A digit q of the division: 2·R + next bit = q·den + R', with R and R' in 0…den-1.

    A negative remainder stands for R - den.
    """
    bench = Bench(Digit(config))
    dut, width = bench.dut, bench.dut.width
    divisor = dut.divisor
    bench.assume(divisor >= divisor_at_least)
    before, after = (pair[width:].as_signed() for pair in (dut.pair, dut.next))
    bench.assume((before < divisor) & (before >= -divisor))
    true, rest = (Mux(x < 0, x + divisor, x) for x in (before, after))
    taken = Mux(dut.next[0], divisor, 0)
    bench.always("a digit keeps the value", 2 * true + dut.pair[width - 1] - taken == rest)
    bench.always("the remainder stays within the divisor",
                 (after < divisor) & (after >= -divisor))
    bench.always("the digits still to come move up",
                 dut.next[1:width] == dut.pair[: width - 1])
    bench.reach("a digit 1", dut.next[0])
    return bench


@pytest.mark.parametrize("name", NAMES)
def test_quotient_digit_is_exact(proof, name):
    # Without state, one cycle is every cycle.
    proof("Normaliser digit", name, digit(named(name)).bounded(1))


class Totals(wiring.Component):
    """What the core and the normaliser add, at their widths and without loss."""

    def __init__(self, config):
        self.config = config
        self.bits = bits = Arithmetic(config)
        self.wide = bits.dividend_width + 8
        super().__init__(
            {
                "sum": In(signed(bits.value_sum_width)),
                "offset_sum": In(signed(bits.offset_width + bits.plain_sum_width)),
                "similarity": In(signed(bits.similarity_sum_width)),
                "offset_count": In(bits.offset_width + bits.count_width),
                "numerator": Out(signed(bits.numerator_width)),
                "denominator": Out(signed(bits.denominator_width)),
                "dividend": Out(signed(bits.dividend_width)),
                "exact_numerator": Out(signed(self.wide)),
                "exact_denominator": Out(signed(self.wide)),
                "exact_dividend": Out(signed(self.wide)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        c = self.config

        def dividend(numerator, denominator):
            return (
                (numerator << c.output_fraction)
                + (denominator << (c.output_width - 1))
                + (denominator >> 1)
            )

        numerator = (self.sum << c.offset_fraction) + self.offset_sum
        denominator = (self.similarity << c.offset_fraction) + self.offset_count
        m.d.comb += [
            self.numerator.eq(numerator),
            self.denominator.eq(denominator),
            self.dividend.eq(dividend(self.numerator, self.denominator)),
            self.exact_numerator.eq(numerator),
            self.exact_denominator.eq(denominator),
            self.exact_dividend.eq(dividend(numerator, denominator)),
        ]
        return m


def totals(config):
    """Sums and products anywhere in their ranges; a product is any number of its range."""
    bench = Bench(Totals(config))
    dut, bits = bench.dut, bench.dut.bits
    tokens, value_sum = config.max_tokens, config.max_tokens << (config.value_width - 1)
    for signal, limit in (
        (dut.sum, config.code_bits * value_sum),
        (dut.offset_sum, bits.max_offset * value_sum),
        (dut.similarity, config.code_bits * tokens),
        (dut.offset_count, bits.max_offset * tokens),
    ):
        bench.assume((signal <= limit) & (signal >= -limit))
    for name in ("numerator", "denominator", "dividend"):
        bench.always(f"the {name} is exact", getattr(dut, name) == getattr(dut, f"exact_{name}"))
    bench.reach("a negative dividend", dut.dividend < 0)
    return bench


@pytest.mark.parametrize("name", NAMES)
def test_totals_never_overflow(proof, name):
    proof("totals", name, totals(named(name)).bounded(1))


def quotient(config, half=1):
    """The whole normaliser against the definition of the quotient, without a division."""
    bench = Bench(Normaliser(config))
    dut, f = bench.dut, config.output_fraction
    assert dut.interval == 1  # feeds forward only
    numerator, denominator = dut.i.payload.numerators[0], dut.i.payload.denominator
    valid, error = dut.i.valid, dut.i.payload.tag.error
    limit = (config.code_bits << config.offset_fraction) + Arithmetic(config).max_offset
    limit *= config.max_tokens << (config.value_width - 1)
    bench.assume((numerator <= limit) & (numerator >= -limit))
    for stage in range(dut.latency):
        numerator = bench.past(numerator, f"numerator_{stage}")
        denominator = bench.past(denominator, f"denominator_{stage}")
        valid = bench.past(valid & ~bench.reset, f"valid_{stage}")
        error = bench.past(error, f"error_{stage}")
    out = dut.o.payload.elements[0]
    top = 1 << (config.output_width - 1)
    double = 2 * denominator
    shifted = (numerator << (f + 1)) + half * denominator
    low, high = out * double <= shifted, shifted < (out + 1) * double
    guarded = (denominator <= 0) | error
    good = Mux(
        guarded,
        out == 0,
        (low | (out == -top)) & (high | (out == top - 1)),
    )
    bench.always("the quotient is ⌊(2^(f+1)·num + den) / (2·den)⌋, saturated",
                 ~(valid & dut.o.valid) | good)
    bench.always("guarded where den ≤ 0 or the packet is bad",
                 ~(valid & dut.o.valid) | (dut.o.payload.guarded == guarded))
    bench.reach("a quotient of 3", dut.o.valid & valid & (out == 3))
    return bench


def test_quotient_is_exact(proof):
    proof("Normaliser", "tiny", quotient(TINY).induction(Normaliser(TINY).latency + 1))


def test_another_rounding_is_refuted():
    assert not quotient(TINY, half=0).bounded(Normaliser(TINY).latency + 2).proved
