# SPDX-License-Identifier: Apache-2.0
"""FuseSoC: a core description (CAPI2) with targets to simulate, lint and synthesise an engine."""

from typing import Any

from ecoformer.hw.emit.packages.pins import LIBRARY, VENDOR
from ecoformer.spec.config import Config

__all__ = ["core"]


def core(config: Config, description: dict[str, Any]) -> str:
    """Text of ``<name>.core``.

    Parameters
    ----------
    config : Config
    description : dict
        The manifest.
    """
    name, version = description["name"], description["version"]
    queries = ["queries"] * (len(config.wire.inlets) - 1)
    vectors = ["expected", "input", "parameters", *queries, "steps"]
    return TEXT.format(
        name=name, vlnv=f"{VENDOR}:{LIBRARY}:{name}:{version}",
        fingerprint=description["fingerprint"][:16],
        vectors="\n".join(
            f"      - vectors/{file}.hex: {{copyto: vectors/{file}.hex}}" for file in vectors
        ),
    )


TEXT = """\
CAPI=2:
# In any folder, with FuseSoC 2.4 or newer:
#
#   $ fusesoc --cores-root DIR run --target sim {vlnv}
#   $ fusesoc --cores-root DIR run --target lint {vlnv}
#   $ fusesoc --cores-root DIR run --target synth {vlnv}
#
# where DIR is the folder that holds this file. Options follow the name: --gaps simulates with
# random gaps, --tool verilator in Verilator. A simulation ends with PASS, or with FAIL and a status
# other than 0.

name: {vlnv}
description: EcoFormer attention engine, configuration {fingerprint}

filesets:
  rtl:
    files: [rtl/{name}.v]
    file_type: verilogSource-2005
  waivers:
    files: [lint/{name}.vlt]
    file_type: vlt
  testbench:
    files: [tb/tb_{name}.v]
    file_type: verilogSource-2005
  vectors:
    files:
{vectors}
    file_type: user
  constraints:
    files: [vivado/{name}_ooc.xdc]
    file_type: xdc

parameters:
  gaps:
    datatype: bool
    paramtype: plusarg
    description: Random gaps and back-pressure instead of full rate

targets:
  default:
    filesets: [rtl]
    toplevel: {name}
  sim:
    description: Self-checking testbench, in Icarus Verilog or Verilator
    flow: sim
    flow_options:
      tool: icarus
      iverilog_options: [-g2005]
      mode: binary
      verilator_options: [--timing, -Wno-fatal]
    filesets: [waivers, rtl, testbench, vectors]
    parameters: [gaps]
    toplevel: tb_{name}
  lint:
    description: Every warning of Verilator but those that are waived, with reasons
    flow: lint
    flow_options:
      tool: verilator
      verilator_options: [-Wall]
    filesets: [waivers, rtl]
    toplevel: {name}
  synth:
    description: Netlist for Lattice ECP5 by Yosys
    flow: generic
    flow_options:
      tool: yosys
      arch: ecp5
      output_format: json
      yosys_synth_options: [-nowidelut]
    filesets: [rtl]
    toplevel: {name}
  vivado:
    description: Synthesis by Vivado; choose a part by --part PART
    flow: vivado
    flow_options:
      part: xc7z020clg400-1
      pnr: none
    filesets: [rtl, constraints]
    toplevel: {name}
"""
