# SPDX-License-Identifier: Apache-2.0
"""The steps from Verilog to figures, and the record of them."""

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from statistics import median, median_low

from ecoformer.hw.synth.netlist import load_netlist, read_json, rewrite
from ecoformer.hw.synth.placing import PLACED, Context
from ecoformer.hw.synth.target import Target, check_fits
from ecoformer.hw.synth.targets import find_target
from ecoformer.hw.synth.timing import Names, load_report
from ecoformer.hw.synth.tools import YOSYS, Step, run_steps
from ecoformer.progress import SILENT, Progress

__all__ = ["NETWORK_DEPTH", "pack", "pack_bitstream", "place", "synthesise"]

NETLIST = "netlist.v"
NETWORK_DEPTH = 3
"""How far below the top of a whole network the layers of its blocks are."""


def synthesise(
    verilog: str,
    top: str,
    target: Target,
    folder: Path,
    *,
    device: str | None = None,
    units: bool = True,
    depth: int | None = None,
    pads: bool = False,
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
    device : str
        Part that is meant, where the mapping depends on it; the target's default one if None.
    units : bool
        Also report the components, which doubles the work.
    depth : int
        Report components down to so many below the top; all of them if None. Yosys looks at a whole
        design for every module that it maps, so hundreds take longer than the cells in them.
    pads : bool
        Whether the pins of the top module lead to pads.
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
    mapped = {"synthesis.log": (target.script(top, device, pads=pads), "netlist.json")}
    if units:
        apart = _modules(verilog, top, depth) if depth is not None else ()
        script = target.script(top, device, flatten=bool(apart), pads=pads, apart=apart)
        mapped["units.log"] = script, "units.json"
    scripts = {log: f"{script}; write_json {netlist}" for log, (script, netlist) in mapped.items()}
    steps = [
        Step(YOSYS, ("-p", f"read_verilog {source}; {script}"), log)
        for log, script in scripts.items()
    ]
    version = YOSYS.version(progress)
    jobs = jobs or os.cpu_count() or 1
    run_steps(folder, steps, "synthesis", jobs=jobs, progress=progress)
    (folder / source).unlink()
    if target.passes:
        for name in ["netlist.json", "units.json"][: len(steps)]:
            rewrite(folder / name, folder / name, *target.passes)
    steps.append(
        Step(YOSYS, ("-p", f"read_json netlist.json; write_verilog -noattr {NETLIST}"), "write.log")
    )
    run_steps(folder, steps[-1:], "netlist")
    (folder / steps[-1].log).unlink()
    cells = load_netlist(folder / "netlist.json", top).cells
    figures = {
        "verilog": hashlib.sha256(verilog.encode()).hexdigest(),
        "top": top,
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


def _modules(verilog, top, depth):
    """Names of the modules down to ``depth`` below ``top``, in the order of the text."""
    bodies = dict(re.findall(r"^module \\?([^\s(;]+)(.*?)^endmodule", verilog, re.M | re.S))
    level = found = {top}
    for _ in range(depth):
        words = (re.findall(r"[^\s\\(;]+", bodies.get(name, "")) for name in level)
        level = {word for body in words for word in body} & bodies.keys()
        found = found | level
    return [name for name in bodies if name in found]


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


def pack(
    figures: dict,
    folder: Path,
    *,
    device: str,
    speed: int | None = None,
    context: Context | None = None,
    progress: Progress = SILENT,
) -> dict:
    """Pack the netlist in ``folder`` into the cells of a device, which takes seconds.

    Raises `EcoformerError` if the device is too small. Leaves the netlist that `place` starts from.

    Adds to ``figures``: ``device``, its ``part``, and ``packed``: cells by type; with a
    harness also ``harness_pins``, each of which takes a register in ``packed``.
    """
    target = find_target(figures["target"])
    tool, usual = target.router()
    where = context or usual
    check_fits(figures["resources"], target, device, where.devices)
    figures.update(where.prepare(folder, target, device, figures["top"]))
    step = Step(
        tool,
        (*target.arguments(device, speed), *where.arguments(None), "--json", PLACED, "--no-place",
         "--no-route", "--report", "packed.json"),
        "packed.log",
    )
    run_steps(folder, [step], "packing", progress=progress)
    used = read_json(folder / "packed.json", "utilization")["utilization"]
    for name in ("packed.json", "packed.log"):
        (folder / name).unlink()
    figures["packed"] = {kind: use["used"] for kind, use in used.items() if use["used"]}
    figures["device"], figures["part"] = device, target.parts[device].title
    packed = target.totals(figures["packed"])
    check_fits(figures["resources"] | packed, target, device, where.devices)
    return figures


def place(
    figures: dict,
    folder: Path,
    *,
    device: str,
    speed: int | None,
    seeds: Sequence[int],
    router: str | None = None,
    context: Context | None = None,
    jobs: int | None = None,
    progress: Progress = SILENT,
) -> dict:
    """Pack the netlist in ``folder``, then place and route it once per seed.

    Adds to ``figures`` what `pack` does, and: ``speed``, ``seeds``, ``router``; ``runs``: clock
    frequency and critical path per seed; ``fmax_median_mhz``, ``fmax_best_mhz``; and
    ``critical_path`` of the run that has the median. ``packed`` is then as it was routed.

    Parameters
    ----------
    router : str
        One of `hw.synth.target.ROUTERS`; nextpnr's own choice if None.
    context : Context
        Where the pins lead; what is usual for the target if None.
    """
    target = find_target(figures["target"])
    target.check(device, speed, seeds)
    tool, usual = target.router()
    where = context or usual
    version = tool.version(progress)
    pack(figures, folder, device=device, speed=speed, context=context, progress=progress)
    steps = [
        Step(
            tool,
            (*target.arguments(device, speed), "--seed", seed, "--json", PLACED,
             "--report", f"seed-{seed}.json", *where.arguments(seed),
             *(("--router", router) if router else ())),
            f"seed-{seed}.log",
        )
        for seed in seeds
    ]
    jobs = jobs or os.cpu_count() or 1
    run_steps(folder, steps, "place and route", jobs=jobs, progress=progress)
    for name in (PLACED, *where.files):
        (folder / name).unlink(missing_ok=True)
    units = [unit["path"] for unit in figures.get("units", ())]
    names = Names(units, figures["cells"], where.prefix)
    runs = {seed: load_report(folder / f"seed-{seed}.json", names) for seed in seeds}
    found = {seed: run["fmax_mhz"] for seed, run in runs.items()}
    middle = next(seed for seed in seeds if found[seed] == median_low(found.values()))
    figures["tools"]["nextpnr"] = version
    figures["commands"] += [str(step) for step in steps]
    packed = [run.pop("cells") for run in runs.values()]
    figures.update(
        speed=speed,
        seeds=list(seeds),
        router=router,
        packed=packed[seeds.index(middle)],
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
    target = find_target(figures["target"])
    step = target.pad_flow().pack(seed, figures["part"], path)
    run_steps(folder, [step], "bitstream", progress=progress)
    figures["commands"].append(str(step))
    figures.update(bitstream=path, bitstream_seed=seed)
