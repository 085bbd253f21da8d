# SPDX-License-Identifier: Apache-2.0
"""Two masters of another maker's bus around one engine, which has a clock of its own.

Everything between them is LiteX's: an arbiter that lets whole packets through in turn, asynchronous
FIFOs there and back, and a dispatcher that returns an answer to the master whose number it bears.
"""

from litex.gen import LiteXModule
from litex.gen.fhdl.verilog import convert
from litex.soc.interconnect.packet import Arbiter, Dispatcher
from litex.soc.interconnect.stream import ClockDomainCrossing, Endpoint
from migen import ClockDomain, ClockDomainsRenamer, ClockSignal, Instance, ResetSignal, Signal

from ecoformer.hw.engine.top import Top

__all__ = ["MASTERS", "Fabric", "fabric_verilog"]

MASTERS = 2
CLOCKS = "bus", "engine"
on_bus = ClockDomainsRenamer("bus")


class Fabric(LiteXModule):
    """The masters' streams ``m0_s_axis`` … ``m1_m_axis``, and the registers of the engine.

    Parameters
    ----------
    config : Config
    master_of : callable
        Number of the master that an answer's beat belongs to, of its endpoint.
    """

    def __init__(self, config, master_of):
        self.pins = set()
        for name in CLOCKS:
            domain = ClockDomain(name)
            setattr(self, f"cd_{name}", domain)
            self.pins |= {domain.clk, domain.rst}
        members = Top(config).signature.members
        given, taken = (
            [(n.rpartition("_t")[2], members[n].shape) for n in members
             if n.startswith(f"{bus}_") and not n.endswith(("valid", "ready", "last"))]
            for bus in ("s_axis", "m_axis")
        )
        to_engine = ClockDomainCrossing(given, "bus", "engine", depth=4)
        to_masters = ClockDomainCrossing(taken, "engine", "bus", depth=4)
        self.submodules += to_engine, to_masters
        sources, sinks = [], []
        for i in range(MASTERS):
            sources.append(self._port(f"m{i}_s_axis", given, given=True))
            sinks.append(self._port(f"m{i}_m_axis", taken, given=False))
        self.arbiter = on_bus(Arbiter(sources, to_engine.sink))
        self.dispatcher = on_bus(Dispatcher(to_masters.source, sinks))
        self.comb += self.dispatcher.sel.eq(master_of(to_masters.source))
        connections = {
            "i_aclk": ClockSignal("engine"), "i_aresetn": ~ResetSignal("engine"),
            **self._connections("s_axis", to_engine.source, given, "i", "o"),
            **self._connections("m_axis", to_masters.sink, taken, "o", "i"),
        }
        for name, member in members.items():
            if name.startswith("s_axil_"):
                pin = Signal(member.shape, name=name)
                self.pins.add(pin)
                connections[f"{member.flow.name[0].lower()}_{name}"] = pin
        self.specials += Instance("ecoformer_engine", **connections)

    def _port(self, bus, layout, given):
        """An endpoint whose signals are pins."""
        endpoint = Endpoint(layout)
        names = ["valid", "ready", "last", *(name for name, _ in layout)]
        for name in names:
            inside = getattr(endpoint, name)
            pin = Signal(len(inside), name=f"{bus}_t{name}")
            self.pins.add(pin)
            inwards = given != (name == "ready")
            self.comb += inside.eq(pin) if inwards else pin.eq(inside)
        return endpoint

    def _connections(self, bus, endpoint, layout, forward, back):
        names = ["valid", "last", *(name for name, _ in layout)]
        return {
            **{f"{forward}_{bus}_t{name}": getattr(endpoint, name) for name in names},
            f"{back}_{bus}_tready": endpoint.ready,
        }


def fabric_verilog(config, master_of) -> str:
    """Verilog of module ``fabric``, which instantiates ``ecoformer_engine``."""
    fabric = Fabric(config, master_of)
    return str(convert(fabric, fabric.pins, name="fabric", time_unit="1ns", time_precision="1ps"))
