# SPDX-License-Identifier: Apache-2.0
import random

import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ecoformer.hw.boards.uart import PHASE, UartReceiver, UartTransmitter, bit_step
from tests.hw.bench import send, simulate, ticks, watch

CLOCK = 12_000_000


class Loop(wiring.Component):
    """A transmitter whose pin is a receiver's."""

    def __init__(self, step, receiver_step):
        self.transmitter, self.receiver = UartTransmitter(step), UartReceiver(receiver_step)
        super().__init__({"cut": In(1), "low": In(1), "level": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.transmitter, m.submodules.receiver = self.transmitter, self.receiver
        m.d.comb += self.receiver.rx.eq(self.transmitter.tx & ~self.low)
        return m


@pytest.mark.parametrize(
    "cycles, drift",
    [(4, 1), (4.17, 1), (8, 0.98), (8, 1.02), (33.3, 1), (33.3, 0.96), (33.3, 1.04)],
)
def test_bytes_arrive(cycles, drift):
    rng = random.Random(1)
    sent = [0x00, 0xFF, 0x55, 0xAA, *rng.choices(range(256), k=20)]
    step = (1 << PHASE) / cycles
    dut, came = Loop(round(step), round(step * drift)), []

    async def source(ctx):
        await send(ctx, dut.transmitter.i, sent, rng=rng, stall=0.3)
        await ticks(ctx, round(12 * cycles))

    o = dut.receiver.o
    simulate(dut, source, background=[watch(came, o.valid, o.payload)])
    assert [byte for _, byte in came] == sent


def test_a_byte_takes_ten_bits():
    dut, came = Loop(1 << (PHASE - 3), 1 << (PHASE - 3)), []

    async def source(ctx):
        await send(ctx, dut.transmitter.i, range(10))
        await ticks(ctx, 100)

    simulate(dut, source, background=[watch(came, dut.receiver.o.valid)])
    cycles = [cycle for cycle, in came]
    assert {b - a for a, b in zip(cycles, cycles[1:])} == {81}  # the last one is to take the next


def test_a_glitch_is_no_byte_and_a_broken_line_is_none_either():
    step, came = 1 << (PHASE - 4), []
    dut = Loop(step, step)

    async def source(ctx):
        await ticks(ctx, 20)
        for low in (3, 16 * 30):  # less than half a start bit; then a break
            ctx.set(dut.low, 1)
            await ticks(ctx, low)
            ctx.set(dut.low, 0)
            await ticks(ctx, 200)
        await send(ctx, dut.transmitter.i, [0x5A])
        await ticks(ctx, 200)

    o = dut.receiver.o
    simulate(dut, source, background=[watch(came, o.valid, o.payload)])
    assert [byte for _, byte in came] == [0x5A]


def test_rates_are_exact_or_refused():
    assert bit_step(100_000_000, 3_000_000) == round(0.03 * 65536)
    assert bit_step(CLOCK, CLOCK // 4) == 1 << (PHASE - 2)
    with pytest.raises(ValueError, match=r"^baud must be 1…3000000, a quarter of the clock, not 3"):
        bit_step(CLOCK, CLOCK // 4 + 1)
    with pytest.raises(ValueError, match="^baud must be at least 18310, not 300$"):
        bit_step(CLOCK, 300)
