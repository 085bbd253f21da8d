# SPDX-License-Identifier: Apache-2.0
"""What a family of FPGAs answers for: mapping, resources, parts, and how its parts are placed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ecoformer.errors import EcoformerError

if TYPE_CHECKING:
    from ecoformer.hw.synth.pads import PadFlow
    from ecoformer.hw.synth.placing import Context
    from ecoformer.hw.synth.tools import Tool

__all__ = ["RESOURCES", "ROUTERS", "Part", "Target", "check_fits"]

RESOURCES = ("LUT", "FF", "DSP", "block RAM")
"""Rows of every target's table, however its vendor calls them."""
ROUTERS = ("router1", "router2")
"""Of place and route: one wire after another, or all wires together."""
SAVERS = {
    "LUT": "more cycles_per_token, fewer code_bits or value_dim",
    "FF": "more cycles_per_token, fewer code_bits or value_dim",
    "DSP": "more cycles_per_token, or weights = \"ternary\" or \"pow2\"",
    "block RAM": "fewer parameter_sets or max_tokens, or another dataflow",
}
"""Fields of the configuration that save a resource."""


@dataclass(frozen=True)
class Part:
    """One device of a family.

    Parameters
    ----------
    title : str
        As its vendor calls it.
    capacity : dict of str to int
        What it has of each of `RESOURCES`; of all but LUTs and flip-flops a part may have none.
    arguments : tuple of str
        What selects it in place and route; ``{speed}`` stands for the speed grade.
    mapping : str
        What selects it in Yosys, where that matters.
    pins : tuple of str
        Pads of the harness: clock, input, output (`hw.synth.harness`); empty where place and route
        chooses them.
    """

    title: str
    capacity: Mapping[str, int]
    arguments: tuple[str, ...]
    mapping: str = ""
    pins: tuple[str, ...] = ()


@dataclass(frozen=True)
class Target:
    """One FPGA family.

    Parameters
    ----------
    name, title : str
    mapping : str
        Yosys command; ``bare`` is what keeps it from adding pads, ``flat`` and ``kept`` what it
        takes to flatten a design, and to keep its hierarchy. ``after`` follows it.
    resources : dict of str to dict
        Number of each resource that a cell takes, by resource and cell type.
    passes : tuple of functions
        Each changes a module of the mapped netlist in place.
    parts : dict of str to Part
        Devices, the default first; none if the family is mapped only.
    tool : Tool
        Place and route.
    context : Context
        Where the engine's pins lead in place and route.
    packed : dict of str to dict
        The same in the names of place and route's report; a resource that it does not count as one
        is left out.
    speeds : tuple of int
        Speed grades, the default first; none if the part's name has it.
    pads : PadFlow
        How a design gets to pads and into a bitstream; None if no board has the family.
    """

    name: str
    title: str
    mapping: str
    resources: Mapping[str, Mapping[str, int]]
    bare: str = ""
    flat: str = ""
    kept: str = "-noflatten"
    after: str = ""
    passes: Sequence[Callable[[dict], object]] = ()
    parts: Mapping[str, Part] = field(default_factory=dict)
    tool: Tool | None = None
    context: Context | None = None
    packed: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    speeds: tuple[int, ...] = ()
    pads: PadFlow | None = None

    @property
    def placed(self) -> bool:
        """Whether place and route is available."""
        return bool(self.parts)

    @property
    def default(self) -> str:
        """The part that is meant if none is named; empty if there is none."""
        return next(iter(self.parts), "")

    def router(self) -> tuple[Tool, Context]:
        """Place and route, and where pins lead; raises `EcoformerError` if it is not available."""
        if self.tool is None or self.context is None:
            raise EcoformerError(f"{self.title}: is synthesised only; choose another target")
        return self.tool, self.context

    def pad_flow(self) -> PadFlow:
        """How designs get to pads; raises `EcoformerError` if no board has the family."""
        if self.pads is None:
            raise EcoformerError(f"{self.title}: no bitstream is made of it; choose another target")
        return self.pads

    def script(
        self, top: str, part: str | None = None, *, flatten: bool = True, pads: bool = False,
        apart: Iterable[str] = (),
    ) -> str:
        """Yosys commands that map the module ``top`` for a part, the default one if None.

        Flattened, but for what is in the modules ``apart``; or with its whole hierarchy.
        """
        chosen = self.parts.get(part or self.default)
        words = [self.mapping, chosen.mapping if chosen else "", "" if pads else self.bare,
                 self.flat if flatten else self.kept, "-top", top]
        keep = " ".join(["setattr -mod -set keep_hierarchy 1", *apart]) if apart else ""
        return "; ".join(filter(None, [keep, " ".join(filter(None, words)), self.after]))

    def count(self, cells: Mapping[str, int]) -> dict[str, int]:
        """Resources that ``cells``, a number per cell type, take."""
        return _count(self.resources, cells)

    def totals(self, packed: Mapping[str, int]) -> dict[str, int]:
        """Resources in the cells of a report, for each that `packed` names."""
        return _count(self.packed, packed)

    def check(self, device: str, speed: int | None, seeds: Sequence[int]) -> None:
        """Raise `EcoformerError` unless device, speed and seeds are valid."""
        if device not in self.parts:
            known = ", ".join(self.parts) or "none, it is synthesised only"
            raise EcoformerError(f"device {device!r}: not a {self.title}; choose {known}")
        if speed is not None and speed not in self.speeds:
            grades = ", ".join(map(str, sorted(self.speeds))) or "none, the device has only one"
            raise EcoformerError(f"speed {speed}: not a speed grade; choose {grades}")
        if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 1:
            raise EcoformerError(f"seeds {seeds}: must be different numbers from 1 up")

    def arguments(self, device: str, speed: int | None) -> list[str]:
        """What selects a device and its speed grade in place and route."""
        grade = speed or (self.speeds[0] if self.speeds else "")
        return [word.format(speed=grade) for word in self.parts[device].arguments]


def _count(shares, cells):
    return {
        resource: sum(number * cells.get(cell, 0) for cell, number in share.items())
        for resource, share in shares.items()
    }


def check_fits(
    resources: Mapping[str, int],
    target: Target,
    device: str,
    devices: Sequence[str] | None = None,
) -> None:
    """Raise `EcoformerError` if a device has not what a design needs.

    Says by how much, and what makes the design smaller.

    Parameters
    ----------
    resources : dict of str to int
        What is needed of each of `RESOURCES`.
    target : Target
    device : str
    devices : sequence of str
        Parts that may be chosen instead; all of the target's if None.
    """
    part = target.parts[device]
    lacking = {
        name: (needed, part.capacity[name])
        for name, needed in resources.items() if needed > part.capacity[name]
    }
    if not lacking:
        return
    counts = ", ".join(
        f"{needed:,} {name}, {needed - there:,} more than its {there:,}"
        for name, (needed, there) in lacking.items()
    )
    savers = "; ".join(dict.fromkeys(SAVERS[name] for name in lacking))
    larger = [
        name for name, other in target.parts.items()
        if (devices is None or name in devices)
        and all(needed <= other.capacity[resource] for resource, needed in resources.items())
    ]
    smallest = min(larger, key=lambda name: target.parts[name].capacity["LUT"], default=None)
    choice = f"choose --device {smallest}, or {savers}" if smallest else savers
    raise EcoformerError(f"{part.title}: too small, {counts}; {choice}")
