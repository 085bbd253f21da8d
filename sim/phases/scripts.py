# SPDX-License-Identifier: Apache-2.0
"""Scenes of everything at once, with resets that cut them off."""

from __future__ import annotations

from collections.abc import Iterator

from ecoformer.sim.phases.addresses import ENABLE, ERRORS
from ecoformer.sim.phases.draw import Draw
from ecoformer.sim.phases.streams import delay
from ecoformer.sim.script import Await, Event, Load, Scene, Write, abort

__all__ = ["scripts"]


def scripts(draw: Draw) -> Iterator[Scene]:
    """Whatever can go wrong, in any order; resets cut scenes off."""
    c, rng = draw.config, draw.rng
    while True:
        image = draw.some()
        packets = [
            draw.bad(image) if rng.random() < 0.4
            else draw.packet(
                int(rng.integers(image.sets)), draw.affordable if rng.random() < 0.05 else None
            )
            for _ in range(rng.integers(3, 9))
        ]
        packets.append(draw.packet(int(rng.integers(image.sets))))
        total = sum(len(packet.beats) for packet in packets)
        actions: list[tuple[int, Event]] = []
        for _ in range(rng.integers(0, 4)):
            actions.append((int(rng.integers(total + 1)), abort()))
        for _ in range(rng.integers(0, 3)):
            index = int(rng.integers(min(image.sets + 1, c.parameter_sets)))
            load = Load(image=draw.image(sets=1), source=0, index=index)
            actions.append((int(rng.integers(total + 1)), load))
        for register in (ENABLE, ERRORS):
            if rng.random() < 0.5:
                write = Write(address=register, data=int(rng.integers(32)))
                actions.append((int(rng.integers(total + 1)), write))
        events: list[Event] = []
        for sent, action in sorted(actions, key=lambda action: action[0]):
            events += [Await(sent, delay(draw)), action]
        cut = bool(rng.random() < 0.4)
        if cut:
            sent = int(rng.integers(total + 1))
            events = [event for event in events if not isinstance(event, Await)
                      or event.sent <= sent]
            events.append(Await(sent, delay(draw, 60)))
        yield Scene(
            name="script", image=image, packets=tuple(packets), events=tuple(events),
            seed=draw.seed(), reset_cycles=int(rng.integers(1, 4)), cut=cut, **draw.stalls(),
        )
