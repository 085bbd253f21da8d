# SPDX-License-Identifier: Apache-2.0
"""How far scenes let the streams go, and for how long."""

from __future__ import annotations

from collections.abc import Sequence

from ecoformer.sim.phases.draw import Draw
from ecoformer.sim.script import Gate, Packet

__all__ = ["delay", "gates", "opened", "upto"]


def upto(packets: Sequence[Packet]) -> list[int]:
    """Beats of ``packets`` on each stream."""
    return [sum(lengths) for lengths in zip(*(packet.lengths for packet in packets))]


def gates(packets: Sequence[Packet]) -> list[Gate]:
    """Let every stream send ``packets`` and no more."""
    return [Gate(beats, stream) for stream, beats in enumerate(upto(packets))]


def opened(draw: Draw) -> list[Gate]:
    """Let every stream send what there is."""
    return [Gate(None, stream) for stream in range(len(draw.config.wire.inlets))]


def delay(draw: Draw, most: int = 3) -> int:
    """Cycles: mostly few, sometimes enough to reach behind the last beat of a packet."""
    rng = draw.rng
    return int(rng.integers(most * draw.config.cycles_per_token + 1)) if rng.random() < 0.5 else 0
