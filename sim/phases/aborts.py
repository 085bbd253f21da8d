# SPDX-License-Identifier: Apache-2.0
"""Scenes of soft resets."""

from __future__ import annotations

from collections.abc import Iterator

from ecoformer.sim.phases.addresses import ENABLE
from ecoformer.sim.phases.draw import Draw
from ecoformer.sim.phases.streams import delay
from ecoformer.sim.script import Await, Drain, Gate, Level, Scene, Write, abort
from ecoformer.spec.registers import Error

__all__ = ["aborts", "random_aborts"]


def aborts(draw: Draw) -> Iterator[Scene]:
    """After the beats that matter, of good and of bad packets, twice in a row."""
    c, image = draw.config, draw.image()
    length = min(3, c.max_tokens)
    total = length * c.input_beats
    for sent in sorted({0, 1, 2, c.input_beats, total - 1, total}):
        if 0 <= sent <= total:
            packets = (draw.packet(), draw.packet(0, length), draw.packet())
            at = len(packets[0].beats) + sent
            yield Scene(
                name=f"after beat {sent} of {total}", image=image, packets=packets,
                events=(Gate(at), Await(at, 3), abort(), Await(at, 3), abort(), Gate(None)),
            )
    packets = (draw.packet(0, length), draw.too_long(), draw.packet())
    at = len(packets[0].beats) + c.max_tokens * c.input_beats
    for sent in (1, at - len(packets[0].beats), at - len(packets[0].beats) + 1):
        beat = len(packets[0].beats) + sent
        if beat < len(packets[0].beats) + len(packets[1].beats):
            yield Scene(
                name=f"of a bad packet, after beat {sent}", image=image, packets=packets,
                events=(Gate(beat), Await(beat, 3), abort(), Gate(None)),
            )
    if total > 1:
        yield Scene(
            name="interrupt of ABORTED", image=image,
            packets=(draw.packet(0, length), draw.packet()),
            events=(
                Gate(1), Write(address=ENABLE, data=1 << Error.ABORTED), Await(1, 3), Level(False),
                abort(), Gate(None), Drain(), Level(True),
            ),
        )


def random_aborts(draw: Draw) -> Iterator[Scene]:
    """Soft resets at any time."""
    while True:
        image = draw.image()
        packets = tuple(draw.packet(int(draw.rng.integers(image.sets))) for _ in range(6))
        total = sum(len(packet.beats) for packet in packets)
        sent = sorted(int(n) for n in draw.rng.integers(0, total + 1, 4))
        events = [event for n in sent for event in (Await(n, delay(draw)), abort())]
        yield Scene(
            name="aborts", image=image, packets=packets, events=tuple(events), seed=draw.seed(),
            **draw.stalls(),
        )
