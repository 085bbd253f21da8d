# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""What every board holds: a generated design behind a host link on two serial pins."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out, connect

from ecoformer.hw.boards.bridge import Bridge
from ecoformer.hw.boards.cores import Core
from ecoformer.hw.boards.uart import UartReceiver, UartTransmitter, bit_step

__all__ = ["SerialCore"]

WAITING_BYTES = 64
"""Bytes that may come while a request is carried out; that takes less time than as many bytes."""


class SerialCore(wiring.Component):
    """An engine or a network that a host reaches over a serial port.

    Parameters
    ----------
    core : Core
    clock_hz : int
        Of the domain ``sync``.
    baud : int
        At most a quarter of the clock.
    frame_bytes : int
        Longest payload of a frame.

    Members
    -------
    rx : ``In(1)``, tx : ``Out(1)``
        The serial port.
    irq : ``Out(1)``
        The engine's; a network has none.
    active : ``Out(1)``
        A frame is coming in or going out; for a light.
    """

    def __init__(
        self,
        core: Core,
        *,
        clock_hz: int,
        baud: int,
        frame_bytes: int,
    ):
        self.core = core
        step = bit_step(clock_hz, baud)
        self.receiver, self.transmitter = UartReceiver(step), UartTransmitter(step)
        self.bridge = Bridge(core.streams, clock_hz=clock_hz, baud=baud, frame_bytes=frame_bytes)
        super().__init__({
            "rx": In(1, init=1), "tx": Out(1, init=1), "irq": Out(1), "active": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        bridge = self.bridge
        m.submodules.receiver = receiver = self.receiver
        m.submodules.transmitter = transmitter = self.transmitter
        m.submodules.bridge = bridge
        m.submodules.waiting = waiting = SyncFIFOBuffered(width=8, depth=WAITING_BYTES)
        connect(m, bridge.o, transmitter.i)
        m.d.comb += [
            receiver.rx.eq(self.rx),
            # What finds no room is lost: its frame fails its check, and is sent again.
            waiting.w_stream.payload.eq(receiver.o.payload),
            waiting.w_stream.valid.eq(receiver.o.valid),
            bridge.i.payload.eq(waiting.r_stream.payload),
            bridge.i.valid.eq(waiting.r_stream.valid),
            waiting.r_stream.ready.eq(bridge.i.ready),
            self.tx.eq(transmitter.tx),
            self.active.eq(waiting.r_stream.valid | bridge.o.valid),
        ]
        self.core.instantiate(m, bridge, self.irq)
        return m
