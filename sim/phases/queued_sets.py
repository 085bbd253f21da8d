# SPDX-License-Identifier: Apache-2.0
"""Scenes of sets that wait in a queue for their packets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ecoformer.sim.phases.addresses import ENABLE, ERRORS, FREE, IN_FLIGHT, STATUS
from ecoformer.sim.phases.bad_packets import bad_packets
from ecoformer.sim.phases.draw import Draw
from ecoformer.sim.script import Await, Drain, Gate, Level, Read, Scene, Write
from ecoformer.sim.selection import selection
from ecoformer.spec.registers import REGISTERS, Error, Register

__all__ = ["queued_sets"]


def queued_sets(draw: Draw) -> Iterator[Scene]:
    """The bench writes NEXT_SET itself, before, between and after the packets."""
    c, image = draw.config, draw.some()
    depth, many = c.next_set_depth, min(c.next_set_depth, MOST_QUEUED)
    numbers = [i % image.sets for i in range(many + 1)]
    packets = tuple(draw.packet(number, 1) for number in numbers)
    first, second = (sum(len(packet.beats) for packet in packets[:n]) for n in (1, 2))
    opening, *chosen = (_select(selection(c).request(number)) for number in numbers)
    others = [replace(write, data=write.data ^ 1) for write in chosen]
    scene = Scene(name="", image=image, packets=packets, selects=False)
    waits = (Await(0, 100), Read(address=STATUS, want=FREE, mask=IN_FLIGHT | FREE))
    begun = (Gate(first), *waits, opening, Await(first, 20), _level(0))
    yield replace(scene, name="packets wait for their sets", events=(
        *waits, *(event for write in (opening, *chosen) for event in (write, Await(0, 20))),
    ))
    yield replace(scene, name="sets wait for their packets", events=(
        *begun, *chosen, _level(many), Gate(None), Drain(), _level(0),
    ))
    yield replace(scene, name="one after the other", gaps=0.5, seed=draw.seed(), events=(
        *begun, *chosen, Gate(second), Await(second, 20), _level(many - 1), Gate(None), Drain(),
        _level(0),
    ))
    yield replace(scene, name="forgotten", events=(
        *begun, *others, _level(many), _clear(), _level(0), Gate(None), Await(first, 100),
        _level(0), *chosen,
    ))
    rest = [_select(0)] * (depth - many)
    full = (*(replace(write, refused=True) for write in others), _level(depth))
    yield replace(scene, name="full", events=(
        *begun, *chosen, *rest, _level(depth), *full, Gate(second), Await(second, 20),
        _level(depth - 1), _select(0), *full, Gate(None), Drain(), _level(depth + 1 - many),
    ))
    flag = 1 << Error.SET_REFUSED
    yield replace(scene, name="full, interrupt", events=(
        *begun, *chosen, *rest, Write(address=ENABLE, data=flag), Level(False), *full[:1],
        Level(True), Read(address=ERRORS, want=flag, mask=flag),
        Write(address=ERRORS, data=0xFFFFFFFF ^ flag), Level(True),
        Write(address=ERRORS, data=flag), Level(False), full[0], Level(True),
        Write(address=ERRORS, data=flag), Read(address=ERRORS, want=0, mask=flag),
        Read(address=REGISTERS["SET_REFUSED"].offset, want=2, mask=0xFFFFFFFF),
        Gate(None), Drain(),
    ))
    yield replace(scene, name="before a reset", packets=(), events=(*chosen,), cut=True)
    yield replace(
        scene, name="gone after a reset", events=(_level(0), *waits, *begun, Gate(None), *chosen)
    )
    bad = tuple(packet for _, packet in bad_packets(draw, image))
    good = tuple(draw.packet(0, 1) for _ in bad)
    yield Scene(
        name="bad packets take a set, too", image=image,
        packets=tuple(packet for pair in zip(bad, good) for packet in pair),
    )


MOST_QUEUED = 9
"""Packets that wait for sets, or the reverse, at most."""


def _select(request):
    """Write a packet's number, the context aside, to NEXT_SET."""
    return Write(address=REGISTERS["NEXT_SET"].offset, data=request & 0xFFFFFFFF)


def _clear():
    control: Register = REGISTERS["CONTROL"]
    return Write(address=control.offset, data=control["CLEAR_SETS"].mask)


def _level(sets):
    """So many sets must wait."""
    return Read(address=REGISTERS["NEXT_SET_LEVEL"].offset, want=sets, mask=0xFFFFFFFF)
