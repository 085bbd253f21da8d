# SPDX-License-Identifier: Apache-2.0
"""Where the pins of a design lead in place and route: nowhere, to pads, or to a harness."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ecoformer.hw.synth.carries import open_pins
from ecoformer.hw.synth.netlist import rewrite

if TYPE_CHECKING:
    from ecoformer.hw.synth.target import Target

__all__ = ["Context", "OutOfContext", "PLACED", "Pads", "ROUTED"]

PLACED = "placed.json"
"""Temporary netlist for place and route."""
CONSTRAINTS = "pads.lpf"
"""Temporary constraints for place and route."""
ROUTED = "seed-{}.config"
"""Routed design, from which a bitstream is packed."""


class Context:
    """Where the pins lead.

    Members
    -------
    prefix : str
        Path of the design in the names of what is placed.
    files : tuple of str
        Temporary files beside the netlist.
    """

    prefix = ""
    files: tuple[str, ...] = ()

    def prepare(self, folder: Path, target: Target, device: str, top: str) -> dict:
        """Write the netlist :data:`PLACED` of ``netlist.json``; returns figures about it."""
        raise NotImplementedError

    def arguments(self, seed: int | None) -> tuple:
        """Of the tool; ``seed`` is None where the design is only packed."""
        raise NotImplementedError


@dataclass(frozen=True)
class OutOfContext(Context):
    """The pins lead nowhere; what they drive, and what drives them, is not timed.

    The static placer is used: without pins nothing holds the cells apart, and the default, heap,
    draws them to one point first and loses an eighth of the clock. Every ECP5 device has the
    package, which only chooses the pads not to use.
    """

    def prepare(self, folder: Path, target: Target, device: str, top: str) -> dict:
        rewrite(folder / "netlist.json", folder / PLACED, open_pins)
        return {}

    def arguments(self, seed: int | None) -> tuple:
        return ("--placer", "static", "--package", "CABGA381", "--out-of-context")


@dataclass(frozen=True)
class Pads(Context):
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

    files = (CONSTRAINTS,)

    def prepare(self, folder: Path, target: Target, device: str, top: str) -> dict:
        rewrite(folder / "netlist.json", folder / PLACED, open_pins)
        (folder / CONSTRAINTS).write_text(self.constraints, encoding="utf-8")
        return {}

    def arguments(self, seed: int | None) -> tuple:
        """The routed design goes into a file for `pack_bitstream`."""
        routed = () if seed is None else ("--textcfg", ROUTED.format(seed))
        return (
            "--placer", "static", "--package", self.package, "--lpf", CONSTRAINTS,
            "--freq", f"{self.clock_mhz:g}", "--timing-allow-fail", *routed,
        )
