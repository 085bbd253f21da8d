# SPDX-License-Identifier: Apache-2.0
"""A design whose pins lead to the pads of a package, and the bitstream that is made of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ecoformer.hw.synth.netlist import rewrite
from ecoformer.hw.synth.placing import PLACED, Context
from ecoformer.hw.synth.tools import Step, Tool

if TYPE_CHECKING:
    from ecoformer.hw.synth.target import Target

__all__ = ["PadFlow", "Pads", "ROUTED"]

CONSTRAINTS = "pads.txt"
"""Temporary constraints for place and route."""
ROUTED = "routed-{}"
"""Routed design of a seed, from which a bitstream is packed."""


@dataclass(frozen=True)
class PadFlow:
    """How the designs of a family get to pads, and into a bitstream.

    Parameters
    ----------
    constraints : str
        What the names of files of constraints end in.
    options : tuple of str
        Of place and route; ``{constraints}`` stands for that file.
    routed : tuple of str
        What lets place and route write what it has routed; ``{routed}`` stands for that file.
    bitstream : str
        What the names of bitstreams end in.
    packer : Tool
    packing : tuple of str
        Its arguments: ``{routed}``, ``{bitstream}``, and ``{part}``, the title of the part.
    passes : tuple of functions
        Each changes a module of the netlist in place.
    """

    constraints: str
    options: tuple[str, ...]
    routed: tuple[str, ...]
    bitstream: str
    packer: Tool
    packing: tuple[str, ...]
    passes: Sequence[Callable[[dict], object]] = ()

    def pack(self, seed: int, part: str, path: str) -> Step:
        """The step from what was routed with ``seed`` to the bitstream ``path``."""
        words = {"routed": ROUTED.format(seed), "part": part, "bitstream": path}
        return Step(
            self.packer, tuple(word.format(**words) for word in self.packing), "bitstream.log"
        )


@dataclass(frozen=True)
class Pads(Context):
    """The pins lead to pads.

    Parameters
    ----------
    flow : PadFlow
    package : tuple of str
        What selects the package in place and route, where the part does not.
    constraints : str
        Text that binds the pins to pads.
    clock_mhz : float
        What the design is to run at, which placement works towards.
    devices : tuple of str
        Those that the board comes with.
    """

    flow: PadFlow
    package: tuple[str, ...]
    constraints: str
    clock_mhz: float
    devices: tuple[str, ...] | None = None

    files = (CONSTRAINTS,)

    def prepare(self, folder: Path, target: Target, device: str, top: str) -> dict:
        rewrite(folder / "netlist.json", folder / PLACED, *self.flow.passes)
        (folder / CONSTRAINTS).write_text(self.constraints, encoding="utf-8")
        return {}

    def arguments(self, seed: int | None) -> tuple:
        """With a seed, the routed design goes into a file, from which `PadFlow.pack` starts."""
        options = (option.format(constraints=CONSTRAINTS) for option in self.flow.options)
        routed = () if seed is None else self.flow.routed
        return (
            *self.package, *options, "--freq", f"{self.clock_mhz:g}", "--timing-allow-fail",
            *(option.format(routed=ROUTED.format(seed)) for option in routed),
        )
