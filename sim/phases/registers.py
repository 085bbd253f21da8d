# SPDX-License-Identifier: Apache-2.0
"""Scenes of the registers: values after reset, access, refusals, several accesses in flight."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, product

from ecoformer.sim.phases.addresses import COMMIT, ENABLE, FREE, PARAM_ADDRESS, PARAM_DATA, STATUS
from ecoformer.sim.phases.draw import Draw
from ecoformer.sim.script import Burst, Drain, Read, Scene, Write
from ecoformer.spec.memory_map import MemoryMap
from ecoformer.spec.registers import (
    ADDRESS_WIDTH,
    REGISTERS,
    Access,
    constants,
    register_map,
    reset_values,
)

__all__ = ["registers"]

DELAYS = ((0, 0, 0), (3, 0, 0), (0, 3, 0), (0, 0, 3), (2, 0, 2), (0, 2, 1))
"""Cycles before address, data and acceptance of the response, in every order that matters."""
WORDS = (0x12345678, 0xFFFFFFFF, 0x00000000, 0xA5A5A5A5)


def registers(draw: Draw) -> Iterator[Scene]:
    """Values after reset, every access, and what resets clear."""
    c = draw.config
    yield Scene(name="after reset", events=(*_reset_values(c), Drain()), reset_cycles=1)
    yield Scene(name="access", events=(*_read_only(c), *_stored(c), *_refused(c)))
    yield Scene(name="accesses in flight", events=tuple(_in_flight(c)))
    yield Scene(name="parameter port", events=(*_parameter_port(c), *_all_ones(c)))
    yield Scene(
        name="reset clears", events=(*_reset_values(c), *_read_only(c, delays=(0,))),
        reset_cycles=1,
    )


def _reset_values(config):
    for name, value in reset_values(config).items():
        yield Read(address=REGISTERS[name].offset, want=value, mask=0xFFFFFFFF)


def _read_only(config, delays=(0, 1, 4)):
    values = constants(config)
    for delay in delays:
        for name, value in values.items():
            yield Read(
                address=REGISTERS[name].offset, want=value, mask=0xFFFFFFFF, delay=delay
            )
    for name, value in reset_values(config).items():
        register = REGISTERS[name]
        if not register.access.writable:
            yield Write(address=register.offset, data=value ^ 0xFFFFFFFF, refused=True)
            yield Read(address=register.offset, want=value, mask=0xFFFFFFFF)


def _stored(config):
    for register in register_map(config).values():
        if register.access is not Access.STORED:
            continue
        for delays, value in zip(cycle(DELAYS), [*WORDS * 3, *(1 << bit for bit in range(32)), 0]):
            yield Write(address=register.offset, data=value, delays=delays)
            want = value & register.mask
            yield Read(address=register.offset, want=want, mask=0xFFFFFFFF, delay=delays[0])
        # Bytes that are not written keep ones as well as zeros.
        for strobe, held in product(range(16), (0xFFFFFFFF, 0x5A0FF0A5, 0)):
            value = held ^ 0xFFFFFFFF
            yield Write(address=register.offset, data=held)
            yield Write(address=register.offset, data=value, strobe=strobe)
            mask = sum(0xFF << 8 * byte for byte in range(4) if strobe >> byte & 1)
            want = (held & ~mask | value & mask) & register.mask
            yield Read(address=register.offset, want=want, mask=0xFFFFFFFF)
        for ignored in (1, 2, 3):  # bits 1:0 of an address
            yield Write(address=register.offset | ignored, data=register.mask)
            yield Read(address=register.offset | ignored, want=register.mask, mask=0xFFFFFFFF)


def _all_ones(config):
    for register in register_map(config).values():
        if register.access is Access.STORED:
            yield Write(address=register.offset, data=0xFFFFFFFF)


def _refused(config):
    there = register_map(config).values()
    known = {register.offset for register in there}
    for address in range(0, 1 << ADDRESS_WIDTH, 4):
        if address not in known:
            yield Read(address=address, refused=True)
            yield Write(address=address, data=0xFFFFFFFF, refused=True)
    for register in there:
        if register.access is Access.STROBE:
            yield Read(address=register.offset, refused=True)
            for strobe in range(15):
                yield Write(address=register.offset, data=0, strobe=strobe, refused=True)
    bits = [1 << bit for bit in range(32) if 1 << bit > config.parameter_sets]
    for index in (config.parameter_sets, *bits, 0xFFFFFFFF):
        yield Write(address=COMMIT, data=index, refused=True)
    yield Read(address=STATUS, want=FREE, mask=0xFFFFFFFF)


def _in_flight(config):
    """Several accesses before the first is answered, the channels ahead of each other."""
    values = constants(config)
    known = {register.offset for register in register_map(config).values()}
    unknown = next(i for i in range(0, 1 << ADDRESS_WIDTH, 4) if i not in known)
    reads = [Read(address=REGISTERS[n].offset, want=values[n], mask=0xFFFFFFFF) for n in values]
    for number, (lead, hold) in enumerate(product((0, 1, 4, -1, -4), (0, 7))):
        words = [WORDS[(number + i) % len(WORDS)] ^ number for i in range(3)]
        writes = [
            Write(address=PARAM_ADDRESS, data=words[0]),
            Write(address=REGISTERS["ID"].offset, data=words[0], refused=True),
            Write(address=unknown, data=words[1], refused=True),
            Write(address=ENABLE, data=0b1010 ^ number & 0b1111),
            Write(address=PARAM_ADDRESS, data=words[1]),
            Write(address=PARAM_ADDRESS, data=words[2], strobe=0b0101),
        ]
        yield Burst(
            accesses=(*writes, *reads[:3], Read(address=unknown, refused=True), *reads[3:]),
            lead=lead, hold=hold,
        )
        want = words[1] & 0xFF00FF00 | words[2] & 0x00FF00FF
        yield Burst(
            accesses=(
                Read(address=PARAM_ADDRESS, want=want, mask=0xFFFFFFFF), reads[0],
                Read(address=ENABLE, want=0b1010 ^ number & 0b1111, mask=0b1111),
            ),
            hold=hold,
        )


def _parameter_port(config):
    """The word number counts up, wraps, and leaves row and region alone."""
    last = (1 << MemoryMap.ROW_SHIFT) - 1
    for row in (0, 0xFFFFF):
        above = row << MemoryMap.ROW_SHIFT & 0xFFFFFFFF
        for word, following in ((0, 1), (1, 2), (last, 0)):
            yield Write(address=PARAM_ADDRESS, data=above | word)
            yield Write(address=PARAM_DATA, data=0xFFFFFFFF)
            yield Read(address=PARAM_ADDRESS, want=above | following, mask=0xFFFFFFFF)
