# SPDX-License-Identifier: Apache-2.0
"""nextpnr's report on a placed and routed engine: cells, clock frequency, critical path."""

import re
from pathlib import Path

from ecoformer.errors import EcoformerError
from ecoformer.hw.synth.netlist import read_json

__all__ = ["critical_path", "load_report"]

CELL = re.compile(r"_(?:LUT4|CCU2C|TRELLIS_FF|TRELLIS_DPR16X4|MULT18X18D|DP16KD|PFUMX|L6MUX21)_")
"""Yosys names a cell after a net beside it, its type and its pin: ``engine.core.phase_LUT4_A``."""
ANONYMOUS = re.compile(r"(^|\.)(\$\d+|_\d+_).*")
"""Signals that the design gives no name: Amaranth's and Yosys's numbers."""


def load_report(path: Path, units: list[str]) -> dict:
    """The report in the JSON file ``path``.

    Parameters
    ----------
    path : Path
    units : list of str
        Paths of the components in which the critical path is expressed.

    Returns
    -------
    dict
        ``cells``: used ones by type; ``fmax_mhz``; ``critical_path``, see `critical_path`.
    """
    report = read_json(path, "fmax", "utilization", "critical_paths")
    if len(report["fmax"]) != 1:
        raise EcoformerError(f"{path.name}: {len(report['fmax'])} clocks, not 1")
    (clock, fmax), = report["fmax"].items()
    edge = f"posedge {clock}"
    paths = [p for p in report["critical_paths"] if p["from"] == p["to"] == edge]
    if len(paths) != 1:
        raise EcoformerError(f"{path.name}: {len(paths)} critical paths of {clock}, not 1")
    return {
        "cells": {k: use["used"] for k, use in report["utilization"].items() if use["used"]},
        "fmax_mhz": round(fmax["achieved"], 2),
        "critical_path": critical_path(paths[0]["path"], units),
    }


def critical_path(steps: list[dict], units: list[str]) -> dict:
    """A path reported by nextpnr, in names of components and signals.

    Parameters
    ----------
    steps : list of dict
        As in the report: clk-to-q, then routing and logic in turn, then setup.
    units : list of str
        Paths of the components, as in the netlist.

    Returns
    -------
    dict
        ``from`` and ``to``: component and signal; ``delay_ns`` and its shares ``logic_ns`` and
        ``routing_ns``; ``steps``, each with ``kind``, ``delay_ns``, ``unit`` and ``signal``.
    """
    if not steps:
        raise EcoformerError("critical path: empty; there is no register in the design")
    named = []
    for step in steps:
        # A net says more than a cell: the cells are named after nets.
        name = step.get("net") or step["to"]["cell"]
        named.append({"kind": step["type"], "delay_ns": round(step["delay"], 3),
                      **_name(name, units)})
    routing = sum(step["delay"] for step in steps if step["type"] == "routing")
    total = sum(step["delay"] for step in steps)
    source = next((step["net"] for step in steps if "net" in step), steps[0]["from"]["cell"])
    return {
        "from": _name(source, units),
        "to": _name(steps[-1]["to"]["cell"], units),
        "delay_ns": round(total, 3),
        "logic_ns": round(total - routing, 3),
        "routing_ns": round(routing, 3),
        "steps": named,
    }


def _name(name, units):
    """Component and signal of a net or of a cell that is named after one."""
    index = re.search(r"\[\d+\]$", name)
    found = CELL.search(name)
    # The number is that of a bit of the net; behind a cell's type it is one of the cell's pin.
    stem = name[: found.start()] if found else name.split("$CCU2")[0]
    unit = max((u for u in units if stem == u or stem.startswith(u + ".")), key=len, default="")
    signal = ANONYMOUS.sub("", stem[len(unit) :].lstrip("."))
    if index and not found and signal and not signal.endswith(index[0]):
        signal += index[0]
    return {"unit": unit, "signal": signal}
