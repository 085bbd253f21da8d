# SPDX-License-Identifier: Apache-2.0
"""Scenes of parameters that are loaded while packets come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ecoformer.sim.phases.addresses import (
    COMMIT,
    FREE,
    IN_FLIGHT,
    PARAM_ADDRESS,
    PARAM_DATA,
    STATUS,
)
from ecoformer.sim.phases.draw import RESIDENT, Draw
from ecoformer.sim.phases.streams import delay, gates, opened
from ecoformer.sim.script import Await, Event, Gate, Load, Press, Read, Scene, Write, poll
from ecoformer.sim.selection import selection
from ecoformer.sim.stimulus import PATTERNS
from ecoformer.spec.memory_map import MemoryMap

__all__ = ["random_updates", "updates"]

THOUSANDS = 8_400
"""Packets that wrap a count of twelve bits twice."""
ALTERNATING = (0b010101010101, 0b101010101010, 0b111111111111)
"""Numbers of packets at which every bit of that count has been 0 and 1."""


def updates(draw: Draw) -> Iterator[Scene]:
    """A set replaced before, within and after packets that use it."""
    c, image, other = draw.config, draw.image(), draw.image(sets=1)
    load = Load(image=other, source=0, index=0)
    length = min(3, c.max_tokens)
    first = draw.packet(0, length)
    begun = len(first.beats)
    if begun > 1:
        busy = (
            *(Write(address=address, data=0, refused=True) for address in (PARAM_DATA, COMMIT)),
            Read(address=STATUS, want=IN_FLIGHT, mask=IN_FLIGHT | FREE),
        )
        yield Scene(
            name="busy shadow", image=image, packets=(first, draw.packet(), draw.packet()),
            events=(
                Gate(1), Await(1, 2), load, *busy, Gate(begun), Await(begun), Press(1.0), *busy,
                Await(begun, 2 * c.cycles_per_token), *busy, Press(0.0), Gate(None), poll(),
                Write(address=PARAM_ADDRESS, data=0), Write(address=PARAM_DATA, data=0),
            ),
        )
    packets = tuple(draw.packet(0, length) for _ in range(4))
    events: list[Event] = []
    at = 0
    for i, packet in enumerate(packets[:-1]):  # each packet meets another set than the one before
        at += len(packet.beats)
        events += [*gates(packets[: i + 1]), Await(at)]
        events += [Load(image=draw.image(sets=1), source=0, index=0)]
        events += [*gates(packets[: i + 2]), Await(at + 1)]
    yield Scene(name="one after the other", image=image, packets=packets,
                events=(*events, *opened(draw)))
    after = [draw.packet(0, length, pattern=PATTERNS["random"]) for _ in range(3)]
    yield Scene(
        name="words that no memory holds", image=image, packets=(first, *after),
        events=(
            Gate(begun), Load(image=other, source=0, index=0, strays=_strays(c, other)),
            Gate(None),
        ),
    )
    if c.parameter_sets > 1:
        new = min(c.parameter_sets - 1, RESIDENT)
        some = draw.image(sets=new)
        packets = (draw.packet(new), draw.packet(0), draw.packet(new), draw.packet(0))
        at = len(packets[0].beats)
        if selection(c).reaches(new):
            yield Scene(
                name="a set is loaded for the first time", image=some, packets=packets,
                events=(
                    *gates(packets[:1]), Await(at), Load(image=other, source=0, index=new),
                    *opened(draw),
                ),
            )
    packets = (draw.packet(0), draw.packet(c.parameter_sets - 1))
    yield Scene(name="no set is loaded", packets=packets)
    yield _thousands(draw)


def _strays(config, image):
    """A bit away from the first word of every region, where there is no other."""
    layout = MemoryMap(config)
    held = {address for address, _ in layout.load_words(image, 0)}
    first = [layout.address(region, 0, 0) for region in layout.regions.values()]
    strays = {address ^ 1 << bit for address in first for bit in range(32)}
    return tuple(sorted(strays - held))


def _thousands(draw):
    """So many packets that every count of them wraps, and updates around it."""
    c, image = draw.config, draw.image()
    short = draw.cut_off(tokens=1) if c.input_beats > 1 else draw.packet(0, 1)
    packets = [short] * THOUSANDS
    for at in range(0, THOUSANDS, THOUSANDS // 8):
        packets[at] = draw.packet(int(draw.rng.integers(image.sets)), 1)
    ends = np.cumsum([packet.lengths for packet in packets], axis=0)
    events: list[Event] = []
    idle = 64 * c.cycles_per_token + 8 * c.flow.transform_cycles + 256  # of packets in flight
    for count in ALTERNATING:  # at rest, which bit of a count is wrong shows
        stops = [Gate(int(end), stream) for stream, end in enumerate(ends[count - 1])]
        taken = [Await(gate.beat, 0, gate.stream) for gate in stops]
        rest = Read(address=STATUS, want=FREE, mask=IN_FLIGHT | FREE)
        at_rest = replace(rest, until=True)  # bad packets wait for their turn, too
        load = Load(image=draw.image(sets=1), source=0, index=0)
        events += [*stops, *taken, Await(0, idle), at_rest, load, poll(), rest, *opened(draw)]
    for at in (THOUSANDS // 2, THOUSANDS - 2):
        load = Load(image=draw.image(sets=1), source=0, index=0)
        events += [Await(int(ends[at, 0])), load]
    return Scene(
        name="thousands of packets", image=image, packets=(*packets, draw.packet(), draw.packet()),
        events=tuple(events),
    )


def random_updates(draw: Draw) -> Iterator[Scene]:
    """Sets loaded at any time, while packets come."""
    c = draw.config
    while True:
        image = draw.image()
        packets = tuple(draw.packet(int(draw.rng.integers(image.sets))) for _ in range(8))
        total = sum(len(packet.beats) for packet in packets)
        events: list[Event] = []
        for sent in sorted(int(n) for n in draw.rng.integers(0, total + 1, 3)):
            index = int(draw.rng.integers(min(image.sets + 1, c.parameter_sets)))
            events += [
                Await(sent, delay(draw)),
                Load(image=draw.image(sets=1), source=0, index=index),
            ]
        yield Scene(
            name="updates", image=image, packets=packets, events=tuple(events), seed=draw.seed(),
            **draw.stalls(),
        )
