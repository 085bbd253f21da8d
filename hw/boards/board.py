# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""What every board holds: a generated engine behind a host link on two serial pins."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out, connect

from ecoformer.errors import EcoformerError
from ecoformer.hw.boards.bridge import Bridge
from ecoformer.hw.boards.uart import UartReceiver, UartTransmitter, bit_step
from ecoformer.hw.engine.top import Top
from ecoformer.spec.config import Config

__all__ = ["FRAME_BYTES", "SerialEngine"]

FRAME_BYTES = 2048
"""Longest payload by default: a block RAM each way, and little beside the time to answer."""
WAITING_BYTES = 64
"""Bytes that may come while a request is carried out; that takes less time than as many bytes."""


class SerialEngine(wiring.Component):
    """An engine that a host reaches over a serial port.

    The engine is an instance of the Verilog module that ``generate`` writes, not a copy of it.

    Parameters
    ----------
    config : Config
    engine : str
        Name of the engine's module.
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
        The engine's.
    active : ``Out(1)``
        A frame is coming in or going out; for a light.
    """

    def __init__(
        self,
        config: Config,
        *,
        engine: str,
        clock_hz: int,
        baud: int,
        frame_bytes: int = FRAME_BYTES,
    ):
        self.config, self.engine = config, engine
        step = bit_step(clock_hz, baud)
        self.receiver, self.transmitter = UartReceiver(step), UartTransmitter(step)
        self.bridge = Bridge(config, clock_hz=clock_hz, baud=baud, frame_bytes=frame_bytes)
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
        self._instantiate(m)
        return m

    def _instantiate(self, m):
        """The engine's module with its pins."""
        bridge, pins = self.bridge, {}
        running = Signal()  # registered: it reaches every part of the engine
        m.d.sync += running.eq(~bridge.reset)
        signals = {
            "aclk": ClockSignal(),
            "aresetn": running,
            "irq": self.irq,
        }
        for bus, port in (("s_axis", bridge.tokens), ("m_axis", bridge.results)):
            beat = port.payload
            answer = Cat(beat[name] for name in self.config.wire.m_tuser_fields)
            user = beat.user if bus == "s_axis" else answer
            signals |= {
                f"{bus}_tdata": beat.data, f"{bus}_tvalid": port.valid,
                f"{bus}_tready": port.ready, f"{bus}_tlast": beat.last, f"{bus}_tuser": user,
            }
        for name in bridge.registers.signature.members:
            signals[f"s_axil_{name}"] = getattr(bridge.registers, name)
        for name, member in Top(self.config).signature.members.items():
            if name not in signals or member.shape != len(Value.cast(signals[name])):
                raise EcoformerError(
                    f"board: the host link does not carry what the engine's pin {name} is for, "
                    'contexts, null bytes or a stream of queries; choose mask = "full", '
                    'tkeep = false and queries = "shared" or "separate"'
                )
            direction = "i" if member.flow is In else "o"
            pins[f"{direction}_{name}"] = signals[name]
        m.submodules.engine = Instance(self.engine, **pins)
