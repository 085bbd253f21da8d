# SPDX-License-Identifier: Apache-2.0
"""Playing scripts on an engine: what every bench can do.

The script is interpreted in one place, :func:`play`; a bench moves pins. `sim.compiled_bench` runs
in this process, `sim.tb_script` within a simulator.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ecoformer.sim.compiled import State
from ecoformer.sim.contract import Commit
from ecoformer.sim.limits import LEAST_POLLS, Limits
from ecoformer.sim.record import Access, Record
from ecoformer.sim.script import (
    Await,
    Burst,
    Drain,
    Event,
    Gate,
    Level,
    Load,
    Press,
    Read,
    Scene,
    Write,
    poll,
)
from ecoformer.spec.config import Config
from ecoformer.spec.memory_map import MemoryMap
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.programming import POLL, readable_registers, register_writes
from ecoformer.spec.registers import REGISTERS, Error

__all__ = ["Bench", "LoadWords", "play", "scene_limits"]

ALL_FLAGS = sum(1 << flag for flag in Error)
IRQ_CYCLES = 2
"""Cycles after which ``irq`` follows a register."""


class Bench(Protocol):
    """The pins of an engine. Cycles count from :meth:`begin`; a stream goes on during accesses.

    Members
    -------
    words : LoadWords
    """

    words: LoadWords

    async def reset(self, cycles: int) -> bool:
        """Reset; returns whether nothing was active meanwhile."""

    async def write(self, event: Write) -> tuple[int, int | None]:
        """Write a register: cycle and response, None without one."""

    async def write_words(self, words: np.ndarray) -> tuple[int, int, int | None]:
        """Write until one is not answered OKAY: how many were; cycle and response of the last."""

    async def read(self, address: int, delay: int) -> tuple[int, int | None, int]:
        """Read a register: cycle, response, None without one, and data."""

    async def burst(self, event: Burst) -> list[tuple[int | None, int]]:
        """Response to every access, None without one, and data."""

    def begin(self, scene: Scene, limits: Limits) -> None:
        """Start the stream of a scene."""

    def gate(self, beat: int | None, stream: int = 0) -> None:
        """Offer no beat of a stream from ``beat`` on."""

    def press(self, pressure: float) -> None:
        """Change the probability of back-pressure."""

    async def advance(self, sent: int | None = None, stream: int = 0) -> State:
        """Go on until ``sent`` beats of a stream were taken, or else to the end of all."""

    async def idle(self, cycles: int) -> None:
        """Let ``cycles`` cycles pass."""

    @property
    def irq(self) -> bool:
        """Level of the interrupt."""

    def collect(self, record: Record) -> None:
        """Fill in what was recorded of the stream."""


class _Stopped(Exception):
    """The engine no longer answers, or the stream has ended otherwise than well."""


async def play(bench: Bench, config: Config, scene: Scene) -> Record:
    """Let ``scene`` happen on ``bench``; returns its record, whatever the engine does."""
    record = Record()
    record.quiet = await bench.reset(scene.reset_cycles)
    limits = scene_limits(config, scene)
    player = _Player(bench, config, record, polls=limits.polls)
    try:
        if scene.image is not None:
            for index in range(scene.image.sets):
                await player.load(Load(image=scene.image, source=index, index=index))
        record.commits.clear()  # these are the scene's from the first packet on
        bench.begin(scene, limits)
        for event in scene.events:
            await player.happen(event)
        if not scene.cut:
            await player.happen(Drain())
            await player.look_around()
    except _Stopped:
        pass
    bench.collect(record)
    return record


def scene_limits(config: Config, scene: Scene) -> Limits:
    """Bounds of the stream of ``scene``, register accesses and waits included."""
    words, waits, pressures = 64, 0, [scene.pressure]
    for event in scene.events:
        if isinstance(event, Load):
            words += MemoryMap(config).set_words + LEAST_POLLS
        elif isinstance(event, (Write, Read)):
            words += 2
        elif isinstance(event, Burst):
            words += 2 * len(event.accesses)
            waits += abs(event.lead) + event.hold
        elif isinstance(event, Await):
            waits += event.cycles
        elif isinstance(event, Press) and event.pressure < 1:
            pressures.append(event.pressure)
    limits = Limits.of(
        config, [packet.lengths for packet in scene.packets], scene.gaps, max(pressures), words
    )
    return Limits(limits.cycles + waits, limits.patience + waits, limits.beats)


class _Player:
    """Makes events happen, one after the other, and notes what came of them."""

    def __init__(self, bench, config, record, *, polls):
        self.bench, self.config, self.record, self.polls = bench, config, record, polls

    async def happen(self, event: Event) -> None:
        bench = self.bench
        match event:
            case Await():
                await self.advance(event.sent, event.stream)
                await bench.idle(event.cycles)
            case Drain():
                await self.advance()
            case Gate():
                bench.gate(event.beat, event.stream)
            case Press():
                bench.press(event.pressure)
            case Write():
                await self.write(event)
            case Read():
                await self.read(event)
            case Burst():
                await self.burst(event)
            case Load():
                await self.load(event)
            case Level():
                await bench.idle(IRQ_CYCLES)
                self.record.levels.append((event, bench.irq))

    async def advance(self, sent=None, stream=0):
        state = await self.bench.advance(sent, stream)
        self.record.state = state
        if state not in (State.BEGUN, State.DONE):
            raise _Stopped

    async def write(self, event):
        cycle, response = await self.bench.write(event)
        self.record.accesses.append(Access(event, cycle, response))
        if response is None:
            raise _Stopped
        control = REGISTERS["CONTROL"]
        if event.address == control.offset and not response:
            if event.data & control["SOFT_RESET"].mask:
                self.record.aborts.append(cycle)

    async def read(self, event):
        for _ in range(self.polls if event.until else 1):
            cycle, response, data = await self.bench.read(event.address, event.delay)
            if response is None or (data ^ event.want) & event.mask == 0:
                break
        self.record.accesses.append(Access(event, cycle, response, data))
        if response is None or (event.until and (data ^ event.want) & event.mask):
            raise _Stopped

    async def burst(self, event):
        for access, (response, data) in zip(event.accesses, await self.bench.burst(event)):
            self.record.accesses.append(Access(access, -1, response, data))
        if any(access.response is None for access in self.record.accesses):
            raise _Stopped

    async def load(self, event):
        await self.read(poll())
        words = self.bench.words.of(event)
        written, cycle, response = await self.bench.write_words(words)
        if response == 0:
            self.record.commits.append(
                Commit(cycle=cycle, image=event.image, source=event.source, index=event.index)
            )
            return
        address, data = divmod(int(words[min(written, len(words) - 1)]), 1 << 32)
        self.record.accesses.append(Access(Write(address=address, data=data), cycle, response))
        if response is None:
            raise _Stopped

    async def look_around(self):
        """Read every register; enable every flag alone, clear every flag alone, and look at irq."""
        bench, record = self.bench, self.record
        record.settled = len(record.accesses)
        for name, address in readable_registers(self.config).items():
            record.registers[name] = await self._value(address)
        errors, enable = REGISTERS["ERRORS"].offset, REGISTERS["IRQ_ENABLE"].offset
        flags = record.registers["ERRORS"]

        async def level(what, enabled):
            await self.write(Write(address=enable, data=enabled))
            await bench.idle(IRQ_CYCLES)
            record.flags.append((f"irq with {what}", int(bench.irq), int(bool(flags & enabled))))

        await level("nothing enabled", 0)
        for flag in Error:
            await level(f"{flag.name} enabled", 1 << flag)
        for flag in Error:
            if flags >> flag & 1:
                await self.write(Write(address=errors, data=1 << flag))
                flags &= ~(1 << flag)
                got = await self._value(errors)
                record.flags.append((f"ERRORS after {flag.name} is cleared", got, flags))
        await level("every flag enabled, all cleared", ALL_FLAGS)

    async def _value(self, address):
        cycle, response, data = await self.bench.read(address, 0)
        if response != 0:
            self.record.accesses.append(Access(Read(address=address), cycle, response, data))
        if response is None:
            raise _Stopped
        return data


class LoadWords:
    """Register writes that load parameter sets, each made once."""

    def __init__(self, config: Config):
        self.config = config
        self._known: dict[tuple[int, int], tuple[ParameterImage, np.ndarray]] = {}

    def of(self, load: Load) -> np.ndarray:
        """The words of ``load``, COMMIT the last: uint64, the address above 32 bits of data."""
        image, source = load.image, load.source
        key = id(image), source
        if key not in self._known:
            single = type(image)(**{
                name: array[source : source + 1] for name, array in image.arrays().items()
            })
            writes = [word & ~POLL for word in register_writes(self.config, single)]
            self._known[key] = image, np.array(writes, np.uint64)  # the image keeps its number
        words = self._known[key][1].copy()
        words[-1] |= np.uint64(load.index)
        address, data = (REGISTERS[name].offset << 32 for name in ("PARAM_ADDRESS", "PARAM_DATA"))
        strays = [word for stray in load.strays for word in (address | stray, data | 0xFFFFFFFF)]
        return np.concatenate([words[:-1], np.array(strays, np.uint64), words[-1:]])
