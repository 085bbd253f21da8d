# SPDX-License-Identifier: Apache-2.0
"""Templates: how to instantiate an engine in Verilog and in Amaranth."""

from typing import Any

from ecoformer.hw.emit.packages.pins import CLOCK, REGISTERS, RESET, buses, pins
from ecoformer.spec.config import Config

__all__ = ["amaranth", "verilog"]


def verilog(config: Config, description: dict[str, Any]) -> str:
    """Text of ``templates/<name>_instance.v``: a module around one instance, pin by pin."""
    every = pins(description)
    ports = [
        f"{'input ' if pin.direction == 'in' else 'output'} wire "
        f"{f'[{pin.width - 1}:0] ' if pin.width > 1 else ''}{pin.name}"
        for pin in every
    ]
    return VERILOG.format(
        name=description["name"], ports=",\n  ".join(ports),
        connections=",\n    ".join(f".{pin.name}({pin.name})" for pin in every),
    )


def amaranth(config: Config, description: dict[str, Any]) -> str:
    """Text of ``templates/<name>_amaranth.py``: the generated Verilog as a component."""
    members, connections = [], []
    for bus, found in buses(description).items():
        members.append(_registers(found) if bus == REGISTERS else _stream(bus, found))
        connections += [_connection(bus, pin) for pin in found]
    return AMARANTH.format(
        name=description["name"], fingerprint=description["fingerprint"][:16],
        clock=CLOCK, reset=RESET, members="\n".join(members), connections="\n".join(connections),
    )


def _stream(bus, found):
    given = bus.startswith("s_")
    fields = ", ".join(
        f'"{pin.signal[1:]}": {pin.width}' for pin in found if pin.signal[1:] not in HANDSHAKE
    )
    signature = f"stream.Signature(data.StructLayout({{{fields}}}))"
    return f'            "{bus}": {"In" if given else "Out"}({signature}),'


def _registers(found):
    # A master's signature, of which the engine has the other side.
    signals = [
        f'                "{pin.signal}": {"Out" if pin.direction == "in" else "In"}({pin.width}),'
        for pin in found
    ]
    return "\n".join([
        f'            "{REGISTERS}": In(wiring.Signature({{', *signals, "            })),",
    ])


def _connection(bus, pin):
    kind, port = pin.direction[0], f"self.{bus}"
    if bus == REGISTERS:
        value = f"{port}.{pin.signal}"
    elif pin.signal[1:] in HANDSHAKE:
        value = f"{port}.{pin.signal[1:]}"
    else:
        value = f"{port}.payload.{pin.signal[1:]}"
    return f"            {kind}_{pin.name}={value},"


HANDSHAKE = ("valid", "ready")

VERILOG = """\
// One instance of {name} to start from: copy it, and connect what you have.
module {name}_instance (
  {ports}
);
  {name} engine (
    {connections}
  );
endmodule
"""

AMARANTH = '''\
# SPDX-License-Identifier: Apache-2.0
"""{name} in Amaranth (0.5): the generated Verilog as a component with streams.

Configuration {fingerprint}. An Amaranth platform is given the Verilog; for any other flow pass
``VERILOG`` to it beside what Amaranth writes.
"""

from pathlib import Path

from amaranth.hdl import ClockSignal, Instance, Module, ResetSignal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

VERILOG = Path(__file__).parents[1] / "rtl" / "{name}.v"


class Engine(wiring.Component):
    """The engine in the domain ``sync``, which must have a reset.

    Streams hold one beat; ``data`` is eight bits per byte, byte 0 lowest. ``s_axil`` is AXI4-Lite.
    """

    def __init__(self):
        super().__init__({{
            "irq": Out(1),
{members}
        }})

    def elaborate(self, platform):
        if platform is not None:
            platform.add_file(VERILOG.name, VERILOG.read_text(encoding="utf-8"))
        m = Module()
        m.submodules.engine = Instance(
            "{name}",
            i_{clock}=ClockSignal(),
            i_{reset}=~ResetSignal(),
            o_irq=self.irq,
{connections}
        )
        return m
'''
