# SPDX-License-Identifier: Apache-2.0
"""Scenes of bad packets: their answers, flags and interrupts."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from ecoformer.sim.phases.addresses import ENABLE, ERRORS
from ecoformer.sim.phases.bad_packets import bad_packets, mismatches
from ecoformer.sim.phases.draw import Draw
from ecoformer.sim.script import Burst, Drain, Gate, Level, Read, Scene, Write
from ecoformer.sim.selection import selection
from ecoformer.spec.registers import REGISTERS, Access, Error, packet_errors, register_map

__all__ = ["faults", "random_faults"]

CROWD = 150
"""Events, and reads meanwhile, which make counters wait for longer than they can without."""


def faults(draw: Draw) -> Iterator[Scene]:
    """Every kind alone and after another, every bit of a set, and every interrupt."""
    image = draw.some()
    bits = [1 << bit for bit in range(selection(draw.config).vector_bits)]
    bits = [user for user in bits if user >= image.sets and draw.unknown_sets(image)]
    packets = [draw.packet(user, 1) for user in bits]
    yield Scene(name="every bit of a set", image=image, packets=(*packets, draw.packet()))
    for name, bad in bad_packets(draw, image):
        yield Scene(name=name, image=image, packets=(draw.packet(), bad, draw.packet()))
    packets = [draw.packet()]
    for _, bad in bad_packets(draw, image):
        packets += [bad]
    yield Scene(name="one after the other", image=image, packets=(*packets, draw.packet()))
    yield from _crowds(draw, image)
    for kind, bad in _first_of_each(draw, image):
        good, others = draw.packet(), _packet_errors(draw.config)
        yield Scene(
            name=f"interrupt of {kind.name}", image=image, packets=(good, bad),
            events=(
                Gate(len(good.beats)), Write(address=ENABLE, data=1 << kind), Level(False),
                Gate(None), Drain(), Level(True),
                Read(address=ERRORS, want=1 << kind, mask=others),
                Write(address=ERRORS, data=others & ~(1 << kind)), Level(True),
                Write(address=ERRORS, data=1 << kind, strobe=0b1110), Level(True),
                Write(address=ENABLE, data=others & ~(1 << kind)), Level(False),
                Write(address=ENABLE, data=1 << kind), Level(True),
                Write(address=ERRORS, data=1 << kind), Level(False),
                Read(address=ERRORS, want=0, mask=others),
                Read(address=REGISTERS[kind.name].offset, want=1, mask=0xFFFFFFFF),
            ),
        )


def _crowds(draw, image):
    """The shortest packets, one after the other, while counters are read all the time.

    Where a register selects the set, every packet waits for a write to it, and there is no crowd.
    """
    c = draw.config
    if "tuser" not in selection(c).pins:
        return
    counters = [r.offset for r in register_map(c).values() if r.access is Access.COUNTER]
    reads = Burst(accesses=tuple(Read(address=address) for address in counters))
    users = [0, *draw.unknown_sets(image)[:1]]
    shortest = {f"one beat for set {user}": draw.cut_off(user, tokens=1) for user in users}
    for name, packet in {"one token": draw.packet(0, 1), **shortest}.items():
        packets = (*[packet] * CROWD, draw.packet())
        yield Scene(
            name=f"crowd of {name}", image=image, packets=packets,
            events=(reads,) * (CROWD // len(counters)),
        )


def _packet_errors(config):
    """Flags of bad packets."""
    return sum(1 << error for error in packet_errors(config))


def _first_of_each(draw, image):
    if draw.config.input_beats > 1:
        yield Error.MISALIGNED, draw.cut_off()
    yield Error.TOO_LONG, draw.too_long()
    for user in draw.unknown_sets(image)[:1]:
        yield Error.UNKNOWN_SET, draw.packet(user)
    for bad in mismatches(draw, image)[:1]:
        yield Error.PAIR_MISMATCH, bad
    for _, bad in islice(draw.null_bytes(), 1):
        yield Error.KEEP_MISMATCH, bad


def random_faults(draw: Draw) -> Iterator[Scene]:
    """Good and bad packets in any order, under stalls."""
    while True:
        image = draw.some()
        packets = draw.mixed(image, 8, bad=0.5)
        yield Scene(
            name="bad and good", image=image, packets=(*packets, draw.packet()),
            seed=draw.seed(), **draw.stalls(),
        )
