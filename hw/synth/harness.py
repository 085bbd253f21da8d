# SPDX-License-Identifier: Apache-2.0
"""A shift register around the engine, for place and route that wants a pad for every pin.

An engine has more pins than a small package. A register of the chain drives each input, and each
output is added to another one, so that three pads are left: clock, chain in and chain out. All that
the engine needs is kept, because all of it can be seen at the end of the chain. The harness takes a
register for every pin, and a LUT for every output, which the packed figures include.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ecoformer.errors import EcoformerError
from ecoformer.hw.synth.netlist import read_json
from ecoformer.hw.synth.placing import PLACED, Context
from ecoformer.hw.synth.target import Target
from ecoformer.hw.synth.tools import YOSYS, Step, run_steps

__all__ = ["Harness", "cst", "pdc", "wrapper"]

TOP, INSTANCE = "harness", "dut"
CLOCK, CHAIN_IN, CHAIN_OUT = PORTS = ("aclk", "scan_in", "scan_out")
PINS = "pins.txt"
"""Temporary constraints for place and route."""


@dataclass(frozen=True)
class Harness(Context):
    """The pins lead to a shift register on the chip.

    Parameters
    ----------
    constraints : function
        Text that binds ports to pads, from ``{port: pad}``; None where the tool chooses pads.
    options : tuple of str
        What names the file of constraints to the tool; ``{}`` stands for it.
    passes : tuple of functions
        Each changes a module of the netlist in place.
    """

    constraints: Callable[[dict[str, str]], str] | None = None
    options: tuple[str, ...] = ()
    passes: Sequence[Callable[[dict], object]] = ()
    clock: str = ""
    """Verilog that drives the wire ``aclk`` by an oscillator of the chip; if empty it is a pad."""

    prefix = f"{INSTANCE}."
    files = (PINS,)

    def prepare(self, folder: Path, target: Target, device: str, top: str) -> dict:
        netlist = read_json(folder / "netlist.json", "modules")
        ports = netlist["modules"][top]["ports"]
        (folder / "harness.v").write_text(wrapper(top, ports, self.clock), encoding="utf-8")
        script = target.script(TOP, device, pads=True)
        step = Step(
            YOSYS, ("-p", f"read_verilog harness.v; {script}; write_json harness.json"),
            "harness.log",
        )
        run_steps(folder, [step], "harness")
        outer = read_json(folder / "harness.json", "modules")["modules"]
        netlist["modules"][top]["attributes"].pop("top", None)
        netlist["modules"] = outer | netlist["modules"]
        (folder / "harness.json").write_text(json.dumps(netlist), encoding="utf-8")
        step = Step(
            YOSYS,
            ("-p", f"read_json harness.json; hierarchy -top {TOP}; flatten; clean; "
             f"write_json {PLACED}"),
            "harness.log",
        )
        run_steps(folder, [step], "harness")
        placed = read_json(folder / PLACED, "modules")
        for change in self.passes:
            change(placed["modules"][TOP])
        (folder / PLACED).write_text(json.dumps(placed), encoding="utf-8")
        for name in ("harness.v", "harness.json", "harness.log"):
            (folder / name).unlink()
        if self.constraints:
            pins = dict(zip(PORTS[bool(self.clock) :], target.parts[device].pins))
            (folder / PINS).write_text(self.constraints(pins), encoding="utf-8")
        return {"harness_pins": sum(len(port["bits"]) for port in ports.values()) - 1}

    def arguments(self, seed: int | None) -> tuple:
        return ("--timing-allow-fail", *(option.format(PINS) for option in self.options))


def wrapper(top: str, ports: dict, clock: str = "") -> str:
    """Verilog of the harness around a module ``top`` with these ports of a netlist.

    The clock is a pad unless ``clock`` is Verilog that drives it.
    """
    widths = {
        side: {
            name: len(port["bits"]) for name, port in ports.items()
            if port["direction"] == side and name != CLOCK
        }
        for side in ("input", "output")
    }
    if CLOCK not in ports or not all(widths.values()):
        raise EcoformerError(f"module {top}: must have a clock {CLOCK}, inputs and outputs")
    pins = [
        f"{side} [{width - 1}:0] {name}"
        for side, group in widths.items() for name, width in group.items()
    ]
    connections, total = [f".{CLOCK}({CLOCK})"], {}
    for side, wire in (("input", "to"), ("output", "from")):
        first = 0
        for name, width in widths[side].items():
            connections.append(f".{name}({wire}[{first + width - 1}:{first}])")
            first += width
        total[side] = first
    inputs, outputs = total["input"], total["output"]
    source = f"wire {CLOCK};\n  {clock}" if clock else f"input {CLOCK};"
    pads = ", ".join(([] if clock else [CLOCK]) + [CHAIN_IN, CHAIN_OUT])
    return f"""(* blackbox *)
module {top}(input {CLOCK}, {", ".join(pins)});
endmodule

module {TOP}({pads});
  {source}
  input {CHAIN_IN};
  output {CHAIN_OUT};
  reg [{inputs - 1}:0] to;
  wire [{outputs - 1}:0] from;
  reg [{outputs - 1}:0] seen;
  assign {CHAIN_OUT} = seen[{outputs - 1}];
  always @(posedge {CLOCK}) begin
    to <= {{to, {CHAIN_IN}}};
    seen <= from ^ {{seen, to[{inputs - 1}]}};
  end
  {top} {INSTANCE}({", ".join(connections)});
endmodule
"""


def cst(pins: dict[str, str]) -> str:
    """Pads of Gowin."""
    return "".join(f'IO_LOC "{port}" {pad};\n' for port, pad in pins.items())


def pdc(pins: dict[str, str]) -> str:
    """Pads of Nexus."""
    return "".join(
        f"ldc_set_location -site {{{pad}}} [get_ports {port}]\n" for port, pad in pins.items()
    )
