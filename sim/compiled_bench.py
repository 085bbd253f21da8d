# SPDX-License-Identifier: Apache-2.0
"""The bench of a compiled engine, which runs in this process."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import numpy as np

from ecoformer.sim.bench import LoadWords
from ecoformer.sim.compiled import CompiledEngine, State
from ecoformer.sim.job import TAIL_CYCLES, streams
from ecoformer.sim.limits import Limits
from ecoformer.sim.record import VIOLATIONS, Record, Violation, packet_stamps, split_answers
from ecoformer.sim.rows import keep_bytes, row_bytes
from ecoformer.sim.run import COUNTED
from ecoformer.sim.script import Burst, Scene, Write
from ecoformer.sim.selection import selection
from ecoformer.sim.traces import unpack_codes
from ecoformer.spec.config import Config
from ecoformer.spec.units import units

__all__ = ["CompiledBench", "run_now"]

CHUNK_CYCLES = 50_000
"""Cycles between two checks for Ctrl-C."""


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


def run_now(coroutine: Coroutine[Any, Any, Record]) -> Record:
    """Result of a coroutine that waits for nothing, as on a `CompiledBench`."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise RuntimeError("A bench in this process must not wait")
