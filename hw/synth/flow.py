# SPDX-License-Identifier: Apache-2.0
"""The steps from Verilog to figures, and the record of them."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, median_low

from ecoformer.errors import EcoformerError
from ecoformer.hw.synth.carries import open_pins, pack_carries
from ecoformer.hw.synth.fanout import copy_registers
from ecoformer.hw.synth.netlist import is_library, load_netlist, read_json
from ecoformer.hw.synth.packing import pack_registers
from ecoformer.hw.synth.targets import DEVICES, SPEEDS, Target, check_fits
from ecoformer.hw.synth.timing import load_report
from ecoformer.hw.synth.tools import ECPPACK, NEXTPNR, YOSYS, Step, run_steps
from ecoformer.progress import SILENT, Progress

__all__ = ["Pads", "check_device", "pack_bitstream", "place", "synthesise"]

NETLIST = "netlist.v"
PLACED = "placed.json"
"""Temporary netlist for nextpnr."""
ROUTED = "seed-{}.config"
"""Routed design, from which a bitstream is packed."""
PLACER = "static"
"""Without pins nothing holds the cells apart: the default, heap, draws them to one point first and
loses an eighth of the clock."""
OUT_OF_CONTEXT = ("--package", "CABGA381", "--out-of-context")
"""Every ECP5 device has this package, which only chooses the pads not to use."""


CONSTRAINTS = "pads.lpf"
"""Temporary constraints for nextpnr."""


@dataclass(frozen=True)
class Pads:
    """A package to whose pads the design's pins lead.

    Parameters
    ----------
    package : str
        As nextpnr calls it.
    constraints : str
        Sites of the pins and frequencies (LPF).
    clock_mhz : float
        What the design is to run at, which placement works towards.
    """

    package: str
    constraints: str
    clock_mhz: float

    def arguments(self, seed: int) -> tuple:
        """Of nextpnr: the routed design goes into a file for `pack_bitstream`."""
        return (
            "--package", self.package, "--lpf", CONSTRAINTS, "--freq", f"{self.clock_mhz:g}",
            "--timing-allow-fail", "--textcfg", ROUTED.format(seed),
        )


def check_device(device: str, speed: int, seeds: Sequence[int]) -> None:
    """Raise `EcoformerError` unless device, speed and seeds are valid."""
    if device not in DEVICES:
        raise EcoformerError(f"device {device!r}: not supported; choose {', '.join(DEVICES)}")
    if speed not in SPEEDS:
        raise EcoformerError(
            f"speed {speed}: not a speed grade; choose {', '.join(map(str, SPEEDS))}"
        )
    if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 1:
        raise EcoformerError(f"seeds {seeds}: must be different numbers from 1 up")


def synthesise(
    verilog: str,
    top: str,
    target: Target,
    folder: Path,
    *,
    units: bool = True,
    jobs: int | None = None,
    progress: Progress = SILENT,
) -> dict:
    """Map ``verilog`` to the cells of ``target``.

    Yosys maps it twice, in separate processes: flattened, which is the result, and with its
    hierarchy kept, which gives the cells of each component.

    Parameters
    ----------
    verilog : str
        Text.
    top : str
        Name of the top module.
    target : Target
    folder : Path
        Receives the logs and the netlist as ``netlist.json`` and ``netlist.v``.
    units : bool
        Also report the components, which doubles the work.
    jobs : int
        Concurrent processes; None for one per core.
    progress : Progress

    Returns
    -------
    dict
        ``verilog``: digest of the text; ``target``, ``tools``, ``commands``; ``cells`` by type and
        ``resources`` of the flat netlist. With ``units`` also ``units``: path, cells and resources
        of every component, parts included, and ``own`` without them, the top first; and
        ``across_units``: resources of the flat netlist beyond the sum of its components.
    """
    source = f"{top}.v"
    (folder / source).write_text(verilog, encoding="utf-8")
    scripts = {
        "synthesis.log": f"{target.flat} -top {top}; write_json netlist.json",
        "units.log": f"{target.kept} -top {top}; write_json units.json",
    }
    if not units:
        del scripts["units.log"]
    steps = [
        Step(YOSYS, ("-p", f"read_verilog {source}; {script}"), log)
        for log, script in scripts.items()
    ]
    version = YOSYS.version(progress)
    jobs = jobs or os.cpu_count() or 1
    run_steps(folder, steps, "synthesis", jobs=jobs, progress=progress)
    (folder / source).unlink()
    if target.packs:
        for name in ["netlist.json", "units.json"][: len(steps)]:
            passes = pack_registers, pack_carries, copy_registers
            _rewrite(folder / name, folder / name, *passes)
    steps.append(
        Step(YOSYS, ("-p", f"read_json netlist.json; write_verilog -noattr {NETLIST}"), "write.log")
    )
    run_steps(folder, steps[-1:], "netlist")
    (folder / steps[-1].log).unlink()
    cells = load_netlist(folder / "netlist.json", top).cells
    figures = {
        "verilog": hashlib.sha256(verilog.encode()).hexdigest(),
        "target": target.name,
        "tools": {"yosys": version},
        "commands": [str(step) for step in steps],
        "cells": dict(sorted(cells.items())),
        "resources": target.count(cells),
    }
    if units:
        figures.update(_units(target, load_netlist(folder / "units.json", top), cells))
        (folder / "units.json").unlink()
    return figures


def _rewrite(source, target, *passes):
    """Write the netlist in ``source`` to ``target`` after ``passes`` over the design's modules."""
    netlist = read_json(source, "modules")
    for module in netlist["modules"].values():
        if not is_library(module):
            for change in passes:
                change(module)
    target.write_text(json.dumps(netlist), encoding="utf-8")


def _units(target, tree, cells):
    flat, kept = target.count(cells), target.count(tree.cells)
    return {
        "units": [
            {
                "path": unit.path,
                "depth": depth,
                "cells": dict(sorted(unit.cells.items())),
                **target.count(unit.cells),
                "own": target.count(unit.own),
            }
            for depth, unit in tree.walk()
        ],
        "across_units": {name: flat[name] - kept[name] for name in flat},
    }


def place(
    figures: dict,
    folder: Path,
    *,
    device: str,
    speed: int,
    seeds: Sequence[int],
    pads: Pads | None = None,
    jobs: int | None = None,
    progress: Progress = SILENT,
) -> dict:
    """Place and route the netlist in ``folder`` once per seed; adds to ``figures``.

    Out of context without ``pads``. Raises `EcoformerError` if the device is too small.

    Adds ``device``, ``speed``, ``seeds``; ``packed``: cells by type after packing; ``runs``: clock
    frequency and critical path per seed; ``fmax_median_mhz``, ``fmax_best_mhz``; and
    ``critical_path`` of the run that has the median.
    """
    check_fits(figures["resources"], device)
    version = NEXTPNR.version(progress)
    steps = [
        Step(
            NEXTPNR,
            (f"--{device}", "--speed", speed, "--placer", PLACER, "--seed", seed, "--json", PLACED,
             "--report", f"seed-{seed}.json",
             *(pads.arguments(seed) if pads else OUT_OF_CONTEXT)),
            f"seed-{seed}.log",
        )
        for seed in seeds
    ]
    _rewrite(folder / "netlist.json", folder / PLACED, open_pins)
    if pads:
        (folder / CONSTRAINTS).write_text(pads.constraints, encoding="utf-8")
    jobs = jobs or os.cpu_count() or 1
    run_steps(folder, steps, "place and route", jobs=jobs, progress=progress)
    (folder / PLACED).unlink()
    (folder / CONSTRAINTS).unlink(missing_ok=True)
    units = [unit["path"] for unit in figures.get("units", ())]
    runs = {seed: load_report(folder / f"seed-{seed}.json", units) for seed in seeds}
    packed = [run.pop("cells") for run in runs.values()]
    if any(cells != packed[0] for cells in packed):
        raise EcoformerError("place and route: seeds differ in their cells; the tool has changed")
    found = {seed: run["fmax_mhz"] for seed, run in runs.items()}
    middle = next(seed for seed in seeds if found[seed] == median_low(found.values()))
    figures["tools"]["nextpnr"] = version
    figures["commands"] += [str(step) for step in steps]
    figures.update(
        device=device,
        speed=speed,
        seeds=list(seeds),
        packed=packed[0],
        runs=[{"seed": seed, **run} for seed, run in runs.items()],
        fmax_median_mhz=round(median(found.values()), 2),
        fmax_best_mhz=max(found.values()),
        critical_path=runs[middle]["critical_path"],
    )
    return figures


def pack_bitstream(
    figures: dict, folder: Path, *, seed: int, path: str, progress: Progress = SILENT
) -> None:
    """Pack what `place` routed with ``seed`` into the bitstream ``path``.

    Adds to ``figures``: ``bitstream``, its seed, and the commands.
    """
    step = Step(
        ECPPACK, ("--compress", "--input", ROUTED.format(seed), "--bit", path), "bitstream.log"
    )
    run_steps(folder, [step], "bitstream", progress=progress)
    figures["commands"].append(str(step))
    figures.update(bitstream=path, bitstream_seed=seed)
