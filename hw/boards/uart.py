# SPDX-License-Identifier: Apache-2.0
"""A serial port: eight data bits, no parity, one stop bit, least significant bit first."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["LEAST_CYCLES", "UartReceiver", "UartTransmitter", "bit_step"]

LEAST_CYCLES = 4
"""Fewest clock cycles in which a bit can be sampled safely."""
STOP, BROKEN = 9, 10
"""Number of the stop bit after the start bit 0 and the data, and of the state in which a line that
stayed low instead waits to become high."""
PHASE = 16
"""Bits of the fraction of a bit that has passed; rates are exact to 2^-16 of the clock."""


def bit_step(clock_hz: int, baud: int) -> int:
    """Share of a bit that passes in a cycle, in units of 2^-PHASE."""
    if not 1 <= baud <= clock_hz // LEAST_CYCLES:
        raise ValueError(
            f"baud must be 1…{clock_hz // LEAST_CYCLES}, a quarter of the clock, not {baud}"
        )
    step = round((baud << PHASE) / clock_hz)
    if abs(step * clock_hz / (baud << PHASE) - 1) > 0.01:
        raise ValueError(f"baud must be at least {100 * clock_hz >> PHASE}, not {baud}")
    return step


class UartReceiver(wiring.Component):
    """From the pin to bytes; a byte without its stop bit is dropped.

    Parameters
    ----------
    step : int
        See :func:`bit_step`.

    Members
    -------
    rx : ``In(1)``
        Asynchronous; high when idle.
    o : ``Out(stream.Signature(8, always_ready=True))``
        A byte half a bit before the end of its stop bit.
    """

    def __init__(self, step: int):
        self.step = step
        super().__init__({
            "rx": In(1, init=1), "o": Out(stream.Signature(8, always_ready=True)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        level = Signal(init=1)
        m.submodules.synchroniser = FFSynchronizer(self.rx, level, init=1)
        busy, tick = Signal(), Signal()
        phase, following = Signal(PHASE), Signal(PHASE)
        bits = Signal(range(BROKEN + 1))
        byte = self.o.payload
        m.d.comb += Cat(following, tick).eq(phase + self.step)
        m.d.sync += [phase.eq(following), self.o.valid.eq(0)]
        with m.If(~busy):  # half a bit after this edge is the middle of the start bit
            m.d.sync += [busy.eq(~level), bits.eq(0), phase.eq(1 << (PHASE - 1))]
        with m.Elif(bits == BROKEN):
            m.d.sync += busy.eq(~level)
        with m.Elif(tick):
            m.d.sync += bits.eq(bits + 1)
            with m.Switch(bits):
                with m.Case(0):
                    m.d.sync += busy.eq(~level)  # a glitch is no start bit
                with m.Case(STOP):
                    m.d.sync += [self.o.valid.eq(level), busy.eq(~level)]
                with m.Default():
                    m.d.sync += byte.eq(Cat(byte[1:], level))
        return m


class UartTransmitter(wiring.Component):
    """From bytes to the pin.

    Parameters
    ----------
    step : int
        See :func:`bit_step`.

    Members
    -------
    i : ``In(stream.Signature(8))``
    tx : ``Out(1)``
        High when idle.
    """

    def __init__(self, step: int):
        self.step = step
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        phase, tick = Signal(PHASE), Signal()
        left = Signal(range(STOP + 2))  # bits to send, the one on the pin included
        shift = Signal(8, reset_less=True)
        m.d.comb += self.i.ready.eq(left == 0)
        with m.If(left == 0):
            m.d.sync += phase.eq(0)
            with m.If(self.i.valid):
                m.d.sync += [shift.eq(self.i.payload), self.tx.eq(0), left.eq(STOP + 1)]
        with m.Else():
            m.d.comb += Cat(Signal(PHASE), tick).eq(phase + self.step)
            m.d.sync += phase.eq(phase + self.step)
            with m.If(tick):
                # Behind the data a one moves in: the stop bit.
                m.d.sync += [self.tx.eq(shift[0]), shift.eq(Cat(shift[1:], 1)), left.eq(left - 1)]
        return m
