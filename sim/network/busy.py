# SPDX-License-Identifier: Apache-2.0
"""Which layers work in a cycle: the bits of the probe, and for how long each must."""

from __future__ import annotations

from ecoformer.spec.network.load import Design
from ecoformer.spec.units import units

__all__ = ["busy_bits", "busy_cycles"]


def busy_bits(design: Design) -> dict[str, int]:
    """Place of everything that works within the probe `hw.network.chain.BUSY_PROBE`.

    Every linear layer by its name; then the units of a head, ``blocks.I.attention.UNIT``. Layers
    that all blocks share have a place in common, ``blocks.LAYER``.
    """
    names = [*design.linear_hardware]
    for block in design.block_hardware:
        names += [f"{block}.attention.{unit}" for unit in units(design.engine)]
    return {name: place for place, name in enumerate(names)}


def busy_cycles(design: Design) -> dict[str, int]:
    """Cycles in which every linear layer works on a packet: the steps of its fold for a token."""
    return {
        hardware: design.fold(name).steps * design.tokens_of_a_packet(hardware)
        for hardware, name in design.linear_hardware.items()
    }
