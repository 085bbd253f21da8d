# SPDX-License-Identifier: Apache-2.0
"""Where the pins of a design lead in place and route: nowhere, or as `pads` and `harness` say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ecoformer.hw.synth.carries import open_pins
from ecoformer.hw.synth.netlist import rewrite

if TYPE_CHECKING:
    from ecoformer.hw.synth.target import Target

__all__ = ["Context", "OutOfContext", "PLACED"]

PLACED = "placed.json"
"""Temporary netlist for place and route."""


class Context:
    """Where the pins lead.

    Members
    -------
    prefix : str
        Path of the design in the names of what is placed.
    files : tuple of str
        Temporary files beside the netlist.
    devices : tuple of str or None
        Parts that may be chosen instead of one that is too small; all of the target's if None.
    """

    prefix = ""
    files: tuple[str, ...] = ()
    devices: tuple[str, ...] | None = None

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
