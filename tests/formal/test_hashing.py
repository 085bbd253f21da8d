# SPDX-License-Identifier: Apache-2.0
"""The hash: handshake, a code for every token after its latency, room for every code."""

from dataclasses import replace

import pytest
from amaranth.hdl import Cat, Signal

from ecoformer.hw.hash.families import hash_unit
from ecoformer.hw.parameters.memory import Slots
from tests.formal.claims import buffers_never_overflow, count, offers, taken
from tests.formal.configs import TINY
from tests.formal.prover import Bench


def scheduled(dut):
    """Claims with the invariant of the credit: every token inside is on its way or in the buffer.

    A code enters the buffer a fixed number of cycles after its token was taken, so codes are as
    many as tokens and in their order.
    """
    bench = Bench(dut)
    offers(bench, dut.o, "o")
    (codes,) = bench.fifos
    start = taken(dut.i)
    travelling = Signal(dut.pipeline_latency)
    bench.m.d.sync += travelling.eq(Cat(start, travelling))
    inside = count(bench, start, taken(dut.o), "inside", width=6)
    bench.always("a token's code is stored a fixed time after it", codes.w_en == travelling[-1])
    bench.always("every token inside is on its way or stored",
                 inside == sum(travelling) + codes.level)
    bench.always("the credit counts the tokens inside", bench.inner("inside") == inside)
    bench.always("at most depth tokens are inside", inside <= dut.depth)
    slot = travelling[: dut.config.cycles_per_token]
    bench.always("tokens start at most every k cycles", sum(slot) < 2)
    buffers_never_overflow(bench)
    return bench


# Kernelized, with few tokens inside the solver finds the rest of the invariant by itself.
FAMILIES = {
    "rbf, k = 16": {"hash": "rbf", "cycles_per_token": 16},
    "linear, k = 8": {"hash": "linear", "cycles_per_token": 8},
    "hadamard, k = 8": {"hash": "hadamard", "cycles_per_token": 8},
    "codes, k = 2": {"hash": "codes"},
}


@pytest.mark.parametrize(
    "family", [pytest.param(name, marks=pytest.mark.prove) for name in FAMILIES]
)
def test_schedule(proof, family):
    dut = hash_unit(replace(TINY, **FAMILIES[family]), Slots.of(TINY))
    proof("hash unit", f"tiny, {family}", scheduled(dut).prove(reach=dut.latency + 5))


def in_step(dut):
    """The hash units of both sides answer alike, so that one of them may answer for both."""
    bench = Bench(dut)
    offers(bench, dut.o, "o")
    lead, other = dut.units
    bench.always("both take a token, or neither", lead.i.ready == other.i.ready)
    bench.always("both offer a code, or neither", lead.o.valid == other.o.valid)
    return bench


@pytest.mark.parametrize(
    "family",
    [*(pytest.param(name, marks=pytest.mark.prove) for name in [*FAMILIES][:-1]), "codes, k = 2"],
)
def test_units_of_both_sides_are_in_step(proof, family):
    config = replace(TINY, bus_bytes=2, queries="separate", **FAMILIES[family])
    dut = hash_unit(config, Slots.of(config))
    proof("hash units of both sides", f"tiny, {family}", in_step(dut).prove(reach=dut.latency + 5))
