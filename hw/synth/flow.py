"""The steps from Verilog to figures, and the record of them."""

import os
from statistics import median, median_low

from ecoformer.errors import EcoformerError
from hw.synth.netlist import load_netlist, plain
from hw.synth.targets import DEVICES, SPEEDS
from hw.synth.timing import load_report
from hw.synth.tools import NEXTPNR, YOSYS, Step, run_steps

__all__ = ["check_device", "place", "synthesise"]

NETLIST = "netlist.v"
PACKAGE = "CABGA381"
"""Package that every ECP5 device has; out of context it only chooses the pads not to use."""


def check_device(device, speed, seeds):
    """Raise `EcoformerError` unless nextpnr knows ``device`` and ``speed`` and seeds are usable."""
    if device not in DEVICES:
        raise EcoformerError(f"device {device!r}: not supported; choose {', '.join(DEVICES)}")
    if speed not in SPEEDS:
        raise EcoformerError(
            f"speed {speed}: not a speed grade; choose {', '.join(map(str, SPEEDS))}"
        )
    if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 1:
        raise EcoformerError(f"seeds {seeds}: must be different numbers from 1 up")


def synthesise(verilog, top, target, folder, *, jobs=None, reporter=None):
    """Map ``verilog`` to the cells of ``target``.

    Yosys maps it twice, each time in a process of its own: flattened, which is the result, and
    with its components kept apart, which tells what takes how much.

    Parameters
    ----------
    verilog : str
        Text.
    top : str
        Name of the top module.
    target : Target
    folder : Path
        Receives the logs and the netlist as ``netlist.json`` and ``netlist.v``.
    jobs : int
        Processes at a time; None for as many as there are cores.
    reporter : callable
        Called as ``reporter(stage, done, total)``.

    Returns
    -------
    dict
        ``tools``, ``commands``; ``cells`` by type and ``resources`` of the flat netlist; ``units``:
        resources of every component kept apart, parts included; ``across_units``: what the flat
        netlist has more of than the sum of the components.
    """
    source = f"{top}.v"
    (folder / source).write_text(verilog)
    flat = f"{target.flat} -top {top}; write_json netlist.json; write_verilog -noattr {NETLIST}"
    kept = f"{target.kept} -top {top}; write_json units.json"
    steps = [
        Step(YOSYS, ("-p", f"read_verilog {source}; {script}"), log)
        for script, log in ((flat, "synthesis.log"), (kept, "units.log"))
    ]
    version = YOSYS.version(reporter)
    run_steps(folder, steps, jobs=jobs or os.cpu_count(), report=_stage("synthesis", reporter))
    cells = load_netlist(folder / "netlist.json", top).cells
    tree = load_netlist(folder / "units.json", top)
    (folder / "units.json").unlink()
    (folder / source).unlink()
    resources, sums = target.count(cells), target.count(tree.cells)
    return {
        "target": target.name,
        "tools": {"yosys": version},
        "commands": [str(step) for step in steps],
        "cells": dict(sorted(cells.items())),
        "resources": resources,
        "units": [
            {
                "path": plain(unit.path),
                "name": unit.path,
                "depth": depth,
                **target.count(unit.cells),
                "own": target.count(unit.own),
                "cells": dict(sorted(unit.cells.items())),
            }
            for depth, unit in tree.walk()
        ],
        "across_units": {name: resources[name] - sums[name] for name in resources},
    }


def place(figures, folder, *, device, speed, seeds, jobs=None, reporter=None):
    """Place and route the netlist in ``folder`` once per seed; adds to ``figures``.

    Adds ``device``, ``speed``, ``seeds``; ``packed``: cells by type after packing; ``runs``: clock
    frequency and critical path per seed; ``fmax_median_mhz``, ``fmax_best_mhz``; and
    ``critical_path`` of the run that has the median.
    """
    version = NEXTPNR.version(reporter)
    steps = [
        Step(
            NEXTPNR,
            (f"--{device}", "--package", PACKAGE, "--speed", speed, "--out-of-context",
             "--seed", seed, "--json", "netlist.json", "--report", f"seed-{seed}.json"),
            f"seed-{seed}.log",
        )
        for seed in seeds
    ]  # fmt: skip
    stage = _stage("place and route", reporter)
    run_steps(folder, steps, jobs=jobs or os.cpu_count(), report=stage)
    units = [unit["name"] for unit in figures["units"]]
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


def _stage(name, reporter):
    return reporter and (lambda done, total: reporter(name, done, total))
