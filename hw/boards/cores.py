# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""What a board can hold behind its host link: an attention engine, or a whole network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from amaranth import *
from amaranth.hdl import ValueLike
from amaranth.lib import wiring
from amaranth.lib.wiring import In, connect

from ecoformer.errors import EcoformerError
from ecoformer.hw.boards.bridge import Bridge
from ecoformer.hw.boards.constants import Constants
from ecoformer.hw.emit.network import emit_network
from ecoformer.hw.emit.verilog import emit
from ecoformer.hw.engine.top import Top
from ecoformer.hw.network.top import network_pins
from ecoformer.spec.config import Config
from ecoformer.spec.host_streams import HostStreams
from ecoformer.spec.network.design import NetworkDesign
from ecoformer.spec.network.identity import identity, offsets
from ecoformer.spec.network.image import NetworkImage

__all__ = ["Core", "ENGINE", "EngineCore", "NETWORK", "NetworkCore"]

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
        for bus, port in (("s_axis", bridge.tokens), ("m_axis", bridge.results)):
            beat = port.payload
            answer = Cat(beat[name] for name in self.streams.answer_fields)
            user = beat.user if bus == "s_axis" else answer
            signals |= {
                f"{bus}_tdata": beat.data, f"{bus}_tvalid": port.valid,
                f"{bus}_tready": port.ready, f"{bus}_tlast": beat.last, f"{bus}_tuser": user,
            }
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
    design : NetworkDesign
    image : NetworkImage
    name : str
    """

    kind = "network"
    advice = "which no network has; generate it again"

    def __init__(self, design: NetworkDesign, image: NetworkImage, name: str = NETWORK):
        self.design, self.image = design, image
        super().__init__(name, design.host_streams, network_pins(design))

    def verilog(self) -> str:
        return emit_network(self.design, self.image, self.name)

    def registers(self, m: Module, bridge: Bridge, irq: Signal) -> dict[str, Value]:
        values = offsets(identity(self.design, self.image))
        m.submodules.constants = constants = Constants(values)
        connect(m, bridge.registers, constants.bus)
        return {}
