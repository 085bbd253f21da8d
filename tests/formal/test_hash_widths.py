# SPDX-License-Identifier: Apache-2.0
"""No sum of the hash or of the query pass overflows, at the widths of every preset.

A product is any number of its range, so the multipliers themselves are left out.
"""

from math import isqrt

import pytest
from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ecoformer.hw.hash.kernel import KernelLane
from ecoformer.spec.arithmetic import Arithmetic
from ecoformer.spec.tables import DOT_FRACTION, KERNEL_INDEX_BITS, KERNEL_WIDTH
from tests.formal.configs import NAMES, TINY, named
from tests.formal.prover import Bench


class RunningSum(wiring.Component):
    """Sum of terms of a given range, one a cycle, as every folded unit of the engine adds."""

    def __init__(self, term_width, width):
        self.width = width
        super().__init__(
            {"term": In(signed(term_width)), "first": In(1), "sum": Out(signed(width))}
        )

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.sum.eq(Mux(self.first, 0, self.sum) + self.term)
        return m


def sums(config):
    """Name → (terms, largest magnitude of a term, signed width) of every sum of an engine."""
    bits, c = Arithmetic(config), config
    weight, token = bits.weights.limit, 1 << (c.token_width - 1)
    values = c.max_tokens << (c.value_width - 1)
    found = {
        "hᵀS": (c.code_bits, values, bits.value_sum_width),
        "hᵀz": (c.code_bits, c.max_tokens, bits.similarity_sum_width),
    }
    if c.hash == "rbf":
        found["‖x‖²"] = (c.head_dim, token**2, bits.norm_width + 1)
        found["x·a"] = (c.head_dim, token * weight, bits.dot_width)
        found["A·κ"] = (c.anchors, weight * (2**KERNEL_WIDTH - 1), bits.projection_width)
    if c.hash == "hadamard":
        found["H·x"] = (c.head_dim, token, bits.projection_width)
    if c.hash == "linear":
        found["W·x"] = (c.head_dim, token * weight, bits.projection_width)
    return found


def running(terms, largest, width):
    """Invariant: after n terms the sum lies within ±n times the largest."""
    bench = Bench(RunningSum(largest.bit_length() + 1, width))
    m, dut = bench.m, bench.dut
    begun = Signal()
    count = Signal(range(terms + 2))
    total = Signal(signed(width + 4))
    m.d.sync += [
        begun.eq(begun | dut.first),
        count.eq(Mux(dut.first, 1, count + 1)),
        total.eq(Mux(dut.first, 0, total) + dut.term),
    ]
    bench.assume(dut.first | (begun & (count < terms)))
    bench.assume((dut.term <= largest) & (dut.term >= -largest))
    bound = count * largest
    bench.always("the sum is exact", ~begun | (dut.sum == total))
    bench.always("n terms add up to at most n times the largest",
                 ~begun | ((total <= bound) & (total >= -bound)))
    bench.always("at most as many terms as inputs", count <= terms)
    return bench


@pytest.mark.parametrize("name", NAMES)
def test_sums_never_overflow(proof, name):
    for what, shape in sums(named(name)).items():
        proof(f"sum {what}", name, running(*shape).induction(1))


def test_a_sum_two_bits_narrower_overflows():
    terms, largest, width = sums(TINY)["x·a"]
    verdict = running(terms, largest, width - 2).induction(2)
    assert not verdict.proved and "the sum is exact" in verdict.trace


def kernel(config, spare=0):
    """A lane of the kernel, its dot product within ‖x‖·‖a‖ < 2^e·‖a‖ (Cauchy-Schwarz)."""
    bench = Bench(KernelLane(config))
    dut, bits = bench.dut, bench.dut.bits
    longest = isqrt(config.head_dim * bits.weights.limit**2) + 1 + spare
    bench.assume(dut.exponent <= bits.max_exponent)
    bench.assume((dut.dot <= longest << dut.exponent) & (dut.dot >= -(longest << dut.exponent)))
    exact = bench.past((dut.dot << DOT_FRACTION) >> dut.exponent, "exact_1")
    exact = bench.past(exact, "exact_2")
    age = Signal(2)  # the pipeline holds anything at first
    bench.m.d.sync += age.eq(Mux(age == 2, 2, age + 1))
    bench.watch("age_now", age)
    bench.always(
        "the scaled dot product is exact", (age != 2) | (bench.inner("scaled") == exact)
    )
    argument, index = bench.inner("index"), Signal(KERNEL_INDEX_BITS)
    bench.m.d.comb += index.eq(argument)
    bench.reach("the table is read at its end", index == (1 << KERNEL_INDEX_BITS) - 1)
    return bench


@pytest.mark.parametrize("name", NAMES)
def test_the_kernel_argument_never_overflows(proof, name):
    config = named(name)
    if config.hash == "rbf":
        proof("KernelLane", name, kernel(config).induction(3))


def test_a_longer_anchor_overflows_the_kernel_argument():
    assert not kernel(TINY, spare=1 << 8).induction(3).proved
