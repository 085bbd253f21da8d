# SPDX-License-Identifier: Apache-2.0
"""nextpnr's report on a placed and routed engine: cells, clock frequency, critical path."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ecoformer.errors import EcoformerError
from ecoformer.hw.synth.netlist import read_json

__all__ = ["Names", "critical_path", "load_report"]

HARNESS = "harness"
"""What stands for a component where a path begins or ends outside the engine."""
ANONYMOUS = re.compile(r"(^|\.)(\$\d+|_\d+_).*")
"""Signals that the design gives no name: Amaranth's and Yosys's numbers."""


@dataclass(frozen=True)
class Names:
    """How a name in the report leads back to a component and a signal.

    Parameters
    ----------
    units : sequence of str
        Paths of the components, as in the netlist.
    cells : iterable of str
        Types of the mapped cells. Yosys names a cell after a net beside it, its type and its pin:
        ``engine.core.phase_LUT4_A``.
    prefix : str
        Path of the engine in what was placed.
    """

    units: Sequence[str] = ("",)
    cells: Iterable[str] = ()
    prefix: str = ""

    def find(self, name: str) -> dict[str, str]:
        """Component and signal of a net, or of a cell that is named after one."""
        if not name.startswith(self.prefix):
            return {"unit": HARNESS, "signal": ANONYMOUS.sub("", self._stem(name))}
        name = name.removeprefix(self.prefix)
        index = re.search(r"\[\d+\]$", name)
        stem = self._stem(name)
        found = stem != name
        inside = (u for u in self.units if stem == u or stem.startswith(u + "."))
        unit = max(inside, key=len, default="")
        signal = ANONYMOUS.sub("", stem[len(unit) :].lstrip("."))
        if index and not found and signal and not signal.endswith(index[0]):
            signal += index[0]
        return {"unit": unit, "signal": signal}

    def _stem(self, name):
        """Name of the net; a number behind it is a bit of the net, behind a cell's type a pin."""
        found = self._cell.search(name)
        return name[: found.start()] if found else name

    @cached_property
    def _cell(self):
        types = "|".join(sorted(map(re.escape, self.cells), key=len, reverse=True))
        return re.compile(rf"_(?:{types or '$^'})_|\$CCU2")


def load_report(path: Path, names: Names) -> dict:
    """The report in the JSON file ``path``.

    Parameters
    ----------
    path : Path
    names : Names
        In which the critical path is expressed.

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
        "critical_path": critical_path(paths[0]["path"], names),
    }


def critical_path(steps: list[dict], names: Names) -> dict:
    """A path reported by nextpnr, in names of components and signals.

    Parameters
    ----------
    steps : list of dict
        As in the report: clk-to-q, then routing and logic in turn, then setup.
    names : Names

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
                      **names.find(name)})
    routing = sum(step["delay"] for step in steps if step["type"] == "routing")
    total = sum(step["delay"] for step in steps)
    source = next((step["net"] for step in steps if "net" in step), steps[0]["from"]["cell"])
    return {
        "from": names.find(source),
        "to": names.find(steps[-1]["to"]["cell"]),
        "delay_ns": round(total, 3),
        "logic_ns": round(total - routing, 3),
        "routing_ns": round(routing, 3),
        "steps": named,
    }
