# SPDX-License-Identifier: Apache-2.0
"""A SoC of LiteX with a VexRiscv, memory, a console and the engine of a generated folder.

``python litex_soc.py FOLDER OUTPUT [--no-cpu]`` writes ``soc.v``, the list of its sources and the
C headers. The program is read from ``soc_rom.init`` when the simulation starts.
"""

import importlib.util
import os
import sys
from pathlib import Path

from litex.build.generic_platform import Pins, Subsignal
from litex.build.sim import SimPlatform
from litex.gen import LiteXModule
from litex.soc.integration import export
from litex.soc.integration.soc_core import SoCCore
from litex.soc.interconnect.csr import CSRStorage
from migen import ClockDomain

PINS = [
    ("sys_clk", 0, Pins(1)), ("sys_rst", 0, Pins(1)),
    ("console", 0, Subsignal("valid", Pins(1)), Subsignal("data", Pins(8))),
]
ROM_BYTES, RAM_BYTES = 0x10000, 0x2000


class Console(LiteXModule):
    """A character at a time, on pins."""

    def __init__(self, pads):
        self.char = CSRStorage(8)
        self.comb += [pads.valid.eq(self.char.re), pads.data.eq(self.char.storage)]


def template(folder):
    """The module that was generated for LiteX."""
    (path,) = folder.glob("templates/*_litex.py")
    spec = importlib.util.spec_from_file_location("engine", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class SoC(SoCCore):
    """CPU, memories, console, and the engine as ``attention``."""

    def __init__(self, folder, cpu="vexriscv"):
        platform = SimPlatform("SIM", PINS)
        super().__init__(
            platform, 100e6, cpu_type=cpu, cpu_variant="minimal" if cpu else None,
            integrated_rom_size=ROM_BYTES, integrated_rom_init=[0] * (ROM_BYTES // 4),
            integrated_sram_size=RAM_BYTES, with_uart=False, with_timer=False, with_ctrl=False,
            ident="",
        )
        self.cd_sys = ClockDomain()
        self.comb += [
            self.cd_sys.clk.eq(platform.request("sys_clk")),
            self.cd_sys.rst.eq(platform.request("sys_rst")),
        ]
        self.console = Console(platform.request("console"))
        template(folder).add_engine(self, "attention", origin=0x80000000)


def write(soc, output):
    """Write Verilog, ``sources.txt`` and headers of ``soc``."""
    soc.finalize()
    headers = output / "generated"
    headers.mkdir(parents=True)
    (headers / "csr.h").write_text(export.get_csr_header(soc.csr.regions, soc.constants))
    (headers / "mem.h").write_text(export.get_mem_header(soc.mem_regions))
    (headers / "soc.h").write_text("")
    (output / "system.h").write_text("")
    os.chdir(output)  # memories are written beside, by names without a folder
    soc.platform.get_verilog(soc, name="soc").write("soc.v")
    sources = [path for path, *_ in soc.platform.sources]
    (output / "sources.txt").write_text("\n".join([*sources, "soc.v"]))


if __name__ == "__main__":
    design, target = (Path(argument).resolve() for argument in sys.argv[1:3])
    write(SoC(design, cpu=None if "--no-cpu" in sys.argv else "vexriscv"), target)
