# SPDX-License-Identifier: Apache-2.0
"""The pins of an engine as packages name them: grouped into buses, with AMBA's signal names."""

from dataclasses import dataclass
from typing import Any

__all__ = ["CLOCK", "INTERRUPT", "LIBRARY", "REGISTERS", "RESET", "VENDOR", "Pin", "buses", "pins"]

CLOCK, RESET, INTERRUPT = "aclk", "aresetn", "irq"
"""Pins that belong to no bus."""
REGISTERS = "s_axil"
"""The bus of AXI4-Lite; the others are AXI4-Stream."""
VENDOR, LIBRARY = "ecoformer", "attention"
"""The first two of the four names by which FuseSoC, IP-XACT and Vivado know a core."""


@dataclass(frozen=True)
class Pin:
    """One pin of the top module.

    Parameters
    ----------
    name : str
    direction : str
        ``in`` or ``out``, as the engine sees it.
    width : int
        Bits.
    """

    name: str
    direction: str
    width: int

    @property
    def bus(self) -> str:
        """Its bus, such as ``s_axis_q``; empty for clock, reset and interrupt."""
        return self.name.rpartition("_")[0]

    @property
    def signal(self) -> str:
        """Its name within the bus, in lower case, such as ``tdata``."""
        return self.name.rpartition("_")[2]


def pins(description: dict[str, Any]) -> list[Pin]:
    """Every pin in the order of the manifest ``description``."""
    return [Pin(**pin) for pin in description["pins"]]


def buses(description: dict[str, Any]) -> dict[str, list[Pin]]:
    """Pins of each bus by its name, in the order of the manifest ``description``."""
    found: dict[str, list[Pin]] = {}
    for pin in pins(description):
        if pin.bus:
            found.setdefault(pin.bus, []).append(pin)
    return found
