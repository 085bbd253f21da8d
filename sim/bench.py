# SPDX-License-Identifier: Apache-2.0
"""Playing scripts on an engine: what every bench can do, and the record that it leaves.

The script is interpreted in one place, :func:`play`; a bench moves pins. `CompiledBench` runs in
this process, `sim.tb_script` within a simulator.
"""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from ecoformer.sim.compiled import CompiledEngine, State
from ecoformer.sim.contract import Commit
from ecoformer.sim.job import TAIL_CYCLES, streams
from ecoformer.sim.limits import LEAST_POLLS, Limits
from ecoformer.sim.rows import keep_bytes, row_bytes
from ecoformer.sim.run import COUNTED
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
from ecoformer.sim.selection import selection
from ecoformer.sim.traces import unpack_codes
from ecoformer.spec.config import Config
from ecoformer.spec.memory_map import MemoryMap
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.programming import POLL, readable_registers, register_writes
from ecoformer.spec.registers import REGISTERS, Error
from ecoformer.spec.units import units

__all__ = [
    "Access", "Bench", "CompiledBench", "LoadWords", "Record", "VIOLATIONS", "Violation",
    "packet_stamps", "play", "run_now", "scene_limits", "split_answers",
]

VIOLATIONS = (
    "m_axis_tvalid falls before the beat is taken",
    "the beat on m_axis changes before it is taken",
    "m_axis_tuser changes within a packet",
    "s_axil_bvalid falls before the response is taken",
    "s_axil_bresp changes before the response is taken",
    "s_axil_rvalid falls before the answer is taken",
    "the answer on s_axil changes before it is taken",
    "s_axil_bvalid without a write",
    "s_axil_rvalid without a read",
)
"""What must not happen at the pins in any cycle; the same numbers are in ``harness.cpp``."""
ALL_FLAGS = sum(1 << flag for flag in Error)
CHUNK_CYCLES = 50_000
"""Cycles between two checks for Ctrl-C."""
STAMPS = ("first_in", "last_in", "first_out", "last_out")
IRQ_CYCLES = 2
"""Cycles after which ``irq`` follows a register."""


class Violation(NamedTuple):
    """Something that happened at the pins in a cycle and must not."""

    cycle: int
    what: str


@dataclass(frozen=True)
class Access:
    """What came of a register access.

    Parameters
    ----------
    event : Event
        A `Write` or a `Read`.
    cycle : int
        In which it was taken.
    response : int or None
        ``bresp`` or ``rresp``; None without an answer.
    data : int
        ``rdata``.
    """

    event: Write | Read
    cycle: int
    response: int | None
    data: int = 0


@dataclass(kw_only=True, eq=False)
class Record:
    """What happened in a scene.

    Parameters
    ----------
    beats : list of uint8 [n, row]
        Every answered packet (`sim.rows`).
    rest : uint8 [n, row]
        Beats after the last complete answer.
    users : list of int
        Number of each answer (`sim.selection`).
    taken : list of int64 array
        For each stream, the cycle in which each beat was taken.
    stamps : dict of str to int64 array
        As those of `sim.run.SimulationRun`.
    codes : list of int64 [tokens, b] for every side, or None
        Per engine, the key of every token that was hashed; then those of queries that come by
        themselves.
    cycles : int
    state : State
        What ended the stream; RUNNING if the scene was cut.
    quiet : bool
        Whether no pin was active in the reset.
    violations : list of Violation
    interrupts : list of (int, int)
        Cycle and new level of ``irq``.
    accesses : list of Access
        In order, those of :class:`Load` among them only if they were refused.
    commits : list of Commit
        Sets that were loaded after the first packet might begin.
    levels : list of (Level, bool)
        What ``irq`` was.
    registers : dict of str to int
        After the last answer; empty if the scene was cut.
    flags : list of (str, int, int)
        What was looked at, got and wanted, as every flag was enabled and cleared afterwards.
    counted : dict of str to int
        `sim.run.COUNTED` as the bench counted them.
    aborts : list of int
        Cycles of the soft resets.
    busy : int64 array [2, units] or None
        As that of `sim.run.SimulationRun`.
    settled : int
        Accesses before the registers were read.
    """

    beats: list[np.ndarray] = field(default_factory=list)
    rest: np.ndarray | None = None
    users: list[int] = field(default_factory=list)
    taken: list[np.ndarray] = field(default_factory=lambda: [np.zeros(0, np.int64)])
    stamps: dict[str, np.ndarray] = field(default_factory=dict)
    codes: list[np.ndarray] | None = None
    cycles: int = 0
    state: State = State.RUNNING
    quiet: bool = True
    violations: list[Violation] = field(default_factory=list)
    interrupts: list[tuple[int, int]] = field(default_factory=list)
    accesses: list[Access] = field(default_factory=list)
    commits: list[Commit] = field(default_factory=list)
    levels: list[tuple[Level, bool]] = field(default_factory=list)
    registers: dict[str, int] = field(default_factory=dict)
    flags: list[tuple[str, int, int]] = field(default_factory=list)
    counted: dict[str, int] = field(default_factory=dict)
    aborts: list[int] = field(default_factory=list)
    busy: np.ndarray | None = None
    settled: int = 0


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


class CompiledBench:
    """Bench of a compiled engine, in this process; nothing is ever waited for."""

    def __init__(self, config: Config, engine: CompiledEngine):
        self.config, self.engine = config, engine
        self.words = LoadWords(config)

    async def reset(self, cycles: int) -> bool:
        return self.engine.reset(cycles)

    async def write(self, event: Write) -> tuple[int, int | None]:
        response = self.engine.write(
            event.address, event.data, strobe=event.strobe, delays=event.delays
        )
        return self.engine.accepted, response

    async def write_words(self, words: np.ndarray) -> tuple[int, int, int | None]:
        written, response = self.engine.write_words(words)
        return written, self.engine.accepted, response

    async def read(self, address: int, delay: int) -> tuple[int, int | None, int]:
        answer = self.engine.read(address, delay=delay)
        response, data = (None, 0) if answer is None else answer
        return self.engine.accepted, response, data

    async def burst(self, event: Burst) -> list[tuple[int | None, int]]:
        return self.engine.burst(
            [
                (0, access.address, access.data, access.strobe) if isinstance(access, Write)
                else (1, access.address, 0, 0)
                for access in event.accesses
            ],
            lead=event.lead, hold=event.hold,
        )

    def begin(self, scene: Scene, limits: Limits) -> None:
        select = selection(self.config)
        sent, *queries = streams(self.config, scene.packets)
        self.engine.begin(
            *sent, queries=queries[0] if queries else None, stall=scene.gaps,
            pressure=scene.pressure, seed=scene.seed, tail=TAIL_CYCLES,
            patience=limits.patience, limit=limits.cycles, most_beats=limits.beats,
            later=select.later, rises=select.rises, keep_bytes=keep_bytes(self.config),
            queue=select.depth if scene.selects else None,
        )

    def gate(self, beat: int | None, stream: int = 0) -> None:
        self.engine.gate(beat, stream)

    def press(self, pressure: float) -> None:
        self.engine.press(pressure)

    async def idle(self, cycles: int) -> None:
        self.engine.idle(cycles)

    async def advance(self, sent: int | None = None, stream: int = 0) -> State:
        state = State.RUNNING
        while state is State.RUNNING:
            state = self.engine.advance(CHUNK_CYCLES, sent=sent, stream=stream)
        return state

    @property
    def irq(self) -> bool:
        levels = self.engine.records()["interrupts"]
        return bool(len(levels) and levels[-1])

    def collect(self, record: Record) -> None:
        found = self.engine.records()
        split_answers(record, found["beats"].reshape(-1, row_bytes(self.config)), found["ends"])
        record.users = found["users"].tolist()
        record.taken = [found["taken"], found["query_taken"]][: len(self.config.wire.inlets)]
        record.stamps = packet_stamps(found, len(self.config.wire.inlets))
        record.codes = [unpack_codes(self.config, keys) for keys in self.engine.codes()] or None
        record.cycles = self.engine.cycles
        record.violations = [
            Violation(cycle, VIOLATIONS[number])
            for cycle, number in found["violations"].reshape(-1, 2).tolist()
        ]
        record.interrupts = list(map(tuple, found["interrupts"].reshape(-1, 2).tolist()))
        record.counted = dict(zip(COUNTED, self.engine.counted(), strict=True))
        busy = self.engine.busy()
        record.busy = None if busy is None else busy[:, : len(units(self.config))]


def packet_stamps(found: dict[str, np.ndarray], streams: int = 1) -> dict[str, np.ndarray]:
    """Cycles of the first and the last beat of every packet, in and out, from those of a harness.

    A pair begins with the earlier of its packets, and ends with the later.
    """
    stamps = {name: found[name] for name in STAMPS}
    if streams > 1:
        for name, of in (("first_in", np.minimum), ("last_in", np.maximum)):
            mine, others = found[name], found[f"query_{name}"]
            count = min(len(mine), len(others))
            stamps[name] = of(mine[:count], others[:count])
    return stamps


def split_answers(record: Record, beats: np.ndarray, ends: np.ndarray) -> None:
    """Put the answers, which end before the beats ``ends``, into ``record``."""
    ends = ends.tolist()
    record.beats = [beats[a:b] for a, b in zip([0, *ends], ends)]
    record.rest = beats[ends[-1] if ends else 0 :]


def run_now(coroutine: Coroutine[Any, Any, Record]) -> Record:
    """Result of a coroutine that waits for nothing, as on a `CompiledBench`."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise RuntimeError("A bench in this process must not wait")
