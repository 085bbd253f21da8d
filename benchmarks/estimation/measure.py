# SPDX-License-Identifier: Apache-2.0
"""What engines and networks map and pack to on ECP5, kept by their Verilog.

So an interrupted run continues.
"""

import hashlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.devices import ECP5
from benchmarks.results.records import ROOT
from ecoformer.files import write_json
from ecoformer.hw.emit.network import emit_network
from ecoformer.hw.emit.verilog import emit
from ecoformer.hw.synth.flow import pack, synthesise
from ecoformer.hw.synth.netlist import load_netlist, rewrite
from ecoformer.hw.synth.targets import TARGETS
from ecoformer.hw.synth.tools import YOSYS, Step, run_steps
from ecoformer.spec.config import Config
from ecoformer.spec.network.image import NetworkImage
from ecoformer.spec.network.load import Design

__all__ = ["is_kept", "layer_cells", "packed", "packed_network"]

TOP = "ecoformer_engine"
NETWORK_TOP = "ecoformer_network"
TARGET = TARGETS["ecp5"]
PLACED = ROOT / "build" / "networks" / "synthesis"
LEFT_OUT = ("*.heads.head_*", "*.norm2", "*.norm2.*", "*.network.norm", "*.network.norm.*")
"""Modules of a network that need not be mapped: datapaths, and norms like the first."""


def packed(config: Config, kept: Path) -> dict[str, int]:
    """Cells, multipliers and block RAM after packing, as ``LUT``, ``FF``, ``DSP``, ``block RAM``.

    They are kept in the folder ``kept``, and taken from there for the same Verilog.
    """
    verilog = emit(config, TOP)
    return _known(verilog, kept, lambda: {
        "config": asdict(config), "packed": _packed(verilog, TOP),
    })["packed"]


def is_kept(config: Config, kept: Path) -> bool:
    """Whether `packed` has measured an engine before."""
    return _path(emit(config, TOP), kept).exists()


def packed_network(design: Design, image: NetworkImage, kept: Path) -> dict[str, int]:
    """The same as `packed` of a network, which `benchmarks.network_synthesis` may have placed."""
    verilog = emit_network(design, image, NETWORK_TOP)
    digest = hashlib.sha256(verilog.encode()).hexdigest()
    for record in PLACED.glob("*/synth.json"):
        if (figures := json.loads(record.read_text()))["verilog"] == digest:
            return TARGET.totals(figures["packed"])
    return _known(verilog, kept, lambda: {
        "network": design.as_toml(), "packed": _packed(verilog, NETWORK_TOP),
    })["packed"]


def layer_cells(design: Design, image: NetworkImage, kept: Path) -> dict[str, dict[str, int]]:
    """What every component of a network maps to by itself, by its path; kept as `packed` is.

    The datapaths of the attention are left out, because those of engines are known, and all norms
    but the first, which are like it.
    """
    verilog = emit_network(design, image, NETWORK_TOP)
    return _known(verilog, kept, lambda: {
        "network": design.as_toml(), "components": _components(verilog),
    })["components"]


def _packed(verilog, top):
    with tempfile.TemporaryDirectory() as scratch:
        figures = synthesise(verilog, top, TARGET, Path(scratch), units=False, jobs=1)
        pack(figures, Path(scratch), device=ECP5["device"])
    return TARGET.totals(figures["packed"])


def _components(verilog):
    script = TARGET.script(NETWORK_TOP, flatten=False)
    commands = f"read_verilog top.v; blackbox {' '.join(LEFT_OUT)}; {script}; write_json units.json"
    with tempfile.TemporaryDirectory() as scratch:
        netlist = Path(scratch) / "units.json"
        (Path(scratch) / "top.v").write_text(verilog, encoding="utf-8")
        run_steps(Path(scratch), [Step(YOSYS, ("-p", commands), "units.log")], "synthesis")
        rewrite(netlist, netlist, *TARGET.passes)
        tree = load_netlist(netlist, NETWORK_TOP)
    return {unit.path: TARGET.count(unit.cells) for depth, unit in tree.walk() if depth}


def _known(verilog: str, kept: Path, measure: Callable[[], dict]) -> dict[str, Any]:
    path = _path(verilog, kept)
    if not path.exists():
        found = measure()
        kept.mkdir(parents=True, exist_ok=True)
        write_json(path, found)
    return json.loads(path.read_text())


def _path(verilog, kept):
    return kept / f"{hashlib.sha256(verilog.encode()).hexdigest()[:16]}.json"
