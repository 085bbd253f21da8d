# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""What a board can hold behind its host link: an attention engine, or a whole network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

from amaranth import *
from amaranth.hdl import ValueLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, connect

from ecoformer.errors import EcoformerError
from ecoformer.hw.boards.bridge import Bridge, HostBeat
from ecoformer.hw.boards.constants import Constants
from ecoformer.hw.emit.network import emit_network
from ecoformer.hw.emit.verilog import emit
from ecoformer.hw.engine.top import Top
from ecoformer.hw.network.top import network_pins
from ecoformer.spec.config import Config
from ecoformer.spec.host_streams import HostStreams
from ecoformer.spec.network.decoder import DecoderDesign
from ecoformer.spec.network.identity import identity, offsets
from ecoformer.spec.network.image import NetworkImage
from ecoformer.spec.network.load import Design

__all__ = ["Core", "DecoderCore", "ENGINE", "EngineCore", "NETWORK", "NetworkCore", "network_core"]

ENGINE, NETWORK = "ecoformer_engine", "ecoformer_network"
"""Names of the modules that ``generate`` writes by default."""


class Core(ABC):
    """The Verilog module of a design, with an AXI4-Stream port each way.

    A board has it as an instance of the module that ``generate`` writes, not as a copy of it.

    Parameters
    ----------
    name : str
        Of the module.
    streams : HostStreams
    pins : dict of str to Member
        All of them.

    Members
    -------
    kind : str
        What it is, in messages and in the board's hierarchy.
    """

    kind: str
    advice: str
    """What to do about a pin that a host link has nothing for."""

    def __init__(self, name: str, streams: HostStreams, pins: Mapping[str, wiring.Member]):
        self.name, self.streams, self.pins = name, streams, pins

    @abstractmethod
    def verilog(self) -> str:
        """Text of the module and of what is in it."""

    @abstractmethod
    def registers(self, m: Module, bridge: Bridge, irq: Signal) -> dict[str, Value]:
        """Connect the registers of the host link; signals by the names of the pins for them."""

    def beside_data(self, m: Module, ports: Bridge | _Ports) -> dict[str, Value]:
        """What a beat has beside its data; signals by the names of the pins for them."""
        answer = ports.results.payload
        return {
            "s_axis_tuser": ports.tokens.payload.user,
            "m_axis_tuser": Cat(answer[name] for name in self.streams.answer_fields),
        }

    def instantiate(self, m: Module, bridge: Bridge, irq: Signal) -> None:
        """Add the module, driven by ``bridge``.

        Raises
        ------
        EcoformerError
            It has a pin that a host link has nothing for.
        """
        pins: dict[str, ValueLike] = {}
        running = Signal()  # registered: it reaches every part of the design
        m.d.sync += running.eq(~bridge.reset)
        signals: dict[str, Value] = {"aclk": ClockSignal(), "aresetn": running}
        ports: Bridge | _Ports = bridge
        if self.streams.loads:
            ports, loads = _share(m, bridge, self.streams)
            signals |= loads
        for bus, port in (("s_axis", ports.tokens), ("m_axis", ports.results)):
            beat = port.payload
            signals |= {
                f"{bus}_tdata": beat.data, f"{bus}_tvalid": port.valid,
                f"{bus}_tready": port.ready, f"{bus}_tlast": beat.last,
            }
        signals |= self.beside_data(m, ports)
        signals |= self.registers(m, bridge, irq)
        for name, member in self.pins.items():
            if name not in signals or member.shape != len(Value.cast(signals[name])):
                raise EcoformerError(
                    f"board: the host link does not carry what the {self.kind}'s pin {name} is "
                    f"for, {self.advice}"
                )
            direction = "i" if member.flow is In else "o"
            pins[f"{direction}_{name}"] = signals[name]
        m.submodules[self.kind] = Instance(self.name, **pins)


class _Ports(NamedTuple):
    """The streams of a host link that are left for packets beside those of parameters."""

    tokens: Any
    results: Any
    reset: Value


def _share(m, bridge, streams):
    """Part the streams of ``bridge``: signals for the pins that load, and ports for the others.

    A parameter packet is answered before any token behind it begins to be, so its answer, which
    goes first, never comes between two beats of another one.
    """
    plain = streams.user_bits
    tokens = stream.Signature(HostBeat(streams.input_bytes, plain)).create(path=["tokens"])
    results = stream.Signature(HostBeat(streams.output_bytes, plain)).create(path=["results"])
    ready, reply, replies = Signal(), Signal(8), Signal()
    taken, given = bridge.tokens, bridge.results
    loads = Signal()
    m.d.comb += [
        loads.eq(taken.payload.user[plain]),
        tokens.payload.data.eq(taken.payload.data),
        tokens.payload.user.eq(taken.payload.user[:plain]),
        tokens.payload.last.eq(taken.payload.last),
        tokens.valid.eq(taken.valid & ~loads),
        taken.ready.eq(Mux(loads, ready, tokens.ready)),
        given.valid.eq(results.valid | replies),
        given.payload.data.eq(Mux(replies, reply, results.payload.data)),
        given.payload.user.eq(Mux(replies, streams.load_user, results.payload.user)),
        given.payload.last.eq(results.payload.last | replies),
        given.payload.error.eq(Mux(replies, reply != 0, results.payload.error)),
        results.ready.eq(given.ready & ~replies),
    ]
    pins = {
        "s_axis_load_tdata": taken.payload.data[:8], "s_axis_load_tvalid": taken.valid & loads,
        "s_axis_load_tready": ready, "s_axis_load_tlast": taken.payload.last,
        "m_axis_load_tdata": reply, "m_axis_load_tvalid": replies,
        "m_axis_load_tready": given.ready,
    }
    return _Ports(tokens, results, bridge.reset), pins


class EngineCore(Core):
    """An attention engine.

    Parameters
    ----------
    config : Config
    name : str
    """

    kind = "engine"
    advice = (
        'contexts, null bytes or a stream of queries; choose mask = "full", tkeep = false and '
        'queries = "shared" or "separate"'
    )

    def __init__(self, config: Config, name: str = ENGINE):
        self.config = config
        super().__init__(name, config.host_streams, Top(config).signature.members)

    def verilog(self) -> str:
        return emit(self.config, name=self.name)

    def registers(self, m: Module, bridge: Bridge, irq: Signal) -> dict[str, Value]:
        bus = bridge.registers
        return {"irq": irq} | {
            f"s_axil_{name}": getattr(bus, name) for name in bus.signature.members
        }


class NetworkCore(Core):
    """A whole network with its parameters; the board says which. It has no interrupt.

    Parameters
    ----------
    design : NetworkDesign or DecoderDesign
    image : NetworkImage
    name : str
    """

    kind = "network"
    advice = "which no network has; generate it again"

    def __init__(self, design: Design, image: NetworkImage, name: str = NETWORK):
        self.design, self.image = design, image
        super().__init__(name, design.host_streams, network_pins(design))

    def verilog(self) -> str:
        return emit_network(self.design, self.image, self.name)

    def registers(self, m: Module, bridge: Bridge, irq: Signal) -> dict[str, Value]:
        values = offsets(identity(self.design, self.image))
        m.submodules.constants = constants = Constants(values)
        connect(m, bridge.registers, constants.bus)
        return {}


class DecoderCore(NetworkCore):
    """A decoder with its parameters."""

    def beside_data(self, m: Module, ports: Bridge | _Ports) -> dict[str, Value]:
        tokens, token, answer = ports.tokens, ports.tokens.payload, ports.results.payload
        is_first = Signal(init=1)  # the token is the first of its packet
        with m.If(ports.reset):
            m.d.sync += is_first.eq(1)
        with m.Elif(tokens.valid & tokens.ready):
            m.d.sync += is_first.eq(token.last)
        begins, context = Signal(), Signal(len(answer.user) - 1)
        m.d.comb += [begins.eq(token.user[0] & is_first), answer.user.eq(context << 1)]
        return {
            "s_axis_tuser": begins, "s_axis_tid": token.user[1:],
            "m_axis_tuser": answer.error, "m_axis_tid": context,
        }


def network_core(design: Design, image: NetworkImage) -> NetworkCore:
    """The core of a network of any kind."""
    kind = DecoderCore if isinstance(design, DecoderDesign) else NetworkCore
    return kind(design, image)
