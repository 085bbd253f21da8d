# SPDX-License-Identifier: Apache-2.0
"""Mapped netlists as Yosys writes them in JSON: cells by type, and by component."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ecoformer.errors import EcoformerError

__all__ = ["Unit", "is_library", "load_netlist", "read_json", "rewrite"]

BOOKKEEPING = "$scopeinfo"
"""Pseudo cells in which Yosys remembers the hierarchy that it flattened."""


@dataclass
class Unit:
    """A component instance of the engine, with everything inside it.

    Parameters
    ----------
    path : str
        Instance names from the top, joined by dots; empty for the top.
    own : Counter
        Cells by type that lie in it but in none of its parts.
    parts : list of Unit
    """

    path: str
    own: Counter = field(default_factory=Counter)
    parts: list = field(default_factory=list)

    @property
    def cells(self) -> Counter:
        """Cells by type, parts included."""
        return sum((part.cells for part in self.parts), Counter(self.own))

    def walk(self, depth: int = 0) -> Iterator[tuple[int, Unit]]:
        """Yield (depth, unit) of this unit and everything inside, parents first."""
        yield depth, self
        for part in self.parts:
            yield from part.walk(depth + 1)


def read_json(path: Path, *keys: str) -> dict:
    """Object in the JSON file ``path``; raises `EcoformerError` unless it is whole and has keys."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EcoformerError(
            f"{path.name}: not whole JSON ({error}); the tool that writes it stopped early"
        ) from error
    missing = [key for key in keys if not isinstance(found, dict) or key not in found]
    if missing:
        raise EcoformerError(f"{path.name}: has no {missing[0]!r}; install other tools")
    return found


def load_netlist(path: Path, top: str) -> Unit:
    """The netlist in ``path`` as a `Unit` whose parts are the instances that were kept apart."""
    modules = read_json(path, "modules")["modules"]
    if top not in modules:
        raise EcoformerError(f"{path.name}: has no module {top!r}")
    return _unit(modules, top, "")


def _unit(modules, name, path):
    unit = Unit(path)
    for instance, cell in modules[name]["cells"].items():
        kind = cell["type"]
        if kind in modules and not is_library(modules[kind]):
            unit.parts.append(_unit(modules, kind, f"{path}.{instance}" if path else instance))
        elif kind != BOOKKEEPING:
            unit.own[kind] += 1
    unit.parts.sort(key=lambda part: part.path)
    return unit


def is_library(module: dict) -> bool:
    """Whether a module of a netlist is a cell of the target, not a part of the engine."""
    return any(module["attributes"].get(mark) for mark in ("blackbox", "whitebox", "lib_whitebox"))


def rewrite(source: Path, target: Path, *passes: Callable[[dict], object]) -> None:
    """Write the netlist in ``source`` to ``target`` after ``passes`` over the design's modules."""
    netlist = read_json(source, "modules")
    for module in netlist["modules"].values():
        if not is_library(module):
            for change in passes:
                change(module)
    target.write_text(json.dumps(netlist), encoding="utf-8")
