"""The hash: handshake, a code for every token after its latency, room for every code."""

from dataclasses import replace

import pytest
from amaranth.hdl import Cat, Signal

from hw.hashing import KernelHash
from tests.formal.claims import buffers_never_overflow, count, offers, taken
from tests.formal.configs import TINY
from tests.formal.prover import Bench


def scheduled(dut):
    """Claims with the invariant of the credit: every token inside is on its way or in the buffer.

    A code enters the buffer a fixed number of cycles after its token was taken, so codes are as
    many as tokens and in their order; the buffer's own two cycles make the rest of ``latency``.
    """
    bench = Bench(dut)
    offers(bench, dut.o, "o")
    (codes,) = bench.fifos
    start = taken(dut.i)
    travelling = Signal(dut.latency - 2)
    bench.m.d.sync += travelling.eq(Cat(start, travelling))
    inside = count(bench, start, taken(dut.o), "inside", width=6)
    bench.always("a token's code is stored a fixed time after it", codes.w_en == travelling[-1])
    bench.always("every token inside is on its way or stored",
                 inside == sum(travelling) + codes.level)  # fmt: skip
    bench.always("the credit counts the tokens inside", bench.inner("inside") == inside)
    bench.always("at most depth tokens are inside", inside <= dut.depth)
    slot = travelling[: dut.config.cycles_per_token]
    bench.always("tokens start at most every k cycles", sum(slot) < 2)
    buffers_never_overflow(bench)
    return bench


@pytest.mark.prove
def test_schedule(proof):
    # With few tokens inside the solver finds the rest of the invariant by itself.
    dut = KernelHash(replace(TINY, cycles_per_token=16), TINY.parameter_sets + 1)
    proof("KernelHash", "tiny, k = 16", scheduled(dut).prove(reach=dut.latency + 5))
