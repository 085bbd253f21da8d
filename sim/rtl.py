# SPDX-License-Identifier: Apache-2.0
"""Generated Verilog as a function of numpy arrays: hardware and driver in one object."""

import math
import time
from pathlib import Path

import numpy as np

from ecoformer.errors import EcoformerError
from ecoformer.progress import SILENT, Progress
from ecoformer.sim.build import build
from ecoformer.sim.compiled import CompiledEngine, State
from ecoformer.sim.job import TAIL_CYCLES, Job, accesses
from ecoformer.sim.limits import LEAST_POLLS
from ecoformer.sim.record import packet_stamps
from ecoformer.sim.rows import keep_bytes, row_bytes
from ecoformer.sim.run import COUNTED, SimulationRun
from ecoformer.sim.selection import selection
from ecoformer.sim.traces import unpack_codes
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.programming import (
    POLL,
    SHADOW_FREE,
    STATUS,
    readable_registers,
    register_writes,
)
from ecoformer.spec.registers import REGISTERS, Access, Error
from ecoformer.spec.units import units
from ecoformer.spec.workload import Workload

__all__ = ["Rtl"]

CHUNK_CYCLES = 50_000
"""Cycles between two checks for progress and Ctrl-C."""
ALL_FLAGS = sum(1 << flag for flag in Error)


class Rtl:
    """A simulated engine, programmed once and then called like a function.

    ``rtl(x, v)`` streams tokens and values through the hardware and returns its results, bit for
    bit. The first use of a design compiles it; the build is cached by content. The engine keeps
    its parameters from call to call and runs in this process.

    Parameters
    ----------
    verilog : Path or str
        Verilog file or text.
    image : ParameterImage
        Every set of it is loaded.
    build_dir : Path
        Folder in which builds are kept.
    progress : Progress
        Stages ``build`` and ``simulate``.

    Members
    -------
    run : SimulationRun or None
        Cycles, time stamps and counters of the last call.
    engine : CompiledEngine
        The hardware.
    """

    def __init__(
        self,
        config: Config,
        verilog: str | Path,
        image: ParameterImage,
        build_dir: str | Path,
        *,
        progress: Progress = SILENT,
    ):
        try:
            image.check(config)
        except ValueError as error:
            raise EcoformerError(f"simulation: {error}; use matching files") from error
        self.config, self.image, self.progress = config, image, progress
        self.run = None
        self._polls = LEAST_POLLS
        self._built = build(verilog, build_dir, simulator="compiled", progress=progress)
        self.engine = CompiledEngine(self._built.folder)
        self._ready = False

    def __call__(
        self,
        x: np.ndarray,
        v: np.ndarray,
        sets: int | np.ndarray = 0,
        queries: np.ndarray | None = None,
    ) -> np.ndarray:
        """Attention of sequences of equal length.

        Parameters
        ----------
        x : int array [..., N, D]
            Tokens, both queries and keys; their codes ±1 [..., N, b] with ``hash = "codes"``.
            With separate queries q and k side by side, [..., N, 2D] or [..., N, 2b].
        v : int array [..., N, E]
            Values.
        sets : int or int array [...]
            Parameter set of each sequence.
        queries : int array [..., M, D]
            Where queries come by themselves; then ``x`` are the keys.

        Returns
        -------
        int64 array [..., N, E], or [..., M, E]
            Results in units of 2^-f, f being ``output_fraction``.

        Raises
        ------
        TypeError, ValueError
            Arrays of another kind, shape or range.
        EcoformerError
            The engine answers with an error or not at all.
        """
        c, elements = self.config, self.config.wire.inlets[0].elements
        x, v, sets = _integers("x", x), _integers("v", v), _integers("sets", sets)
        if x.ndim < 2 or x.shape[-1] != elements:
            raise ValueError(f"x must have shape [..., N, {elements}], not {x.shape}")
        shape = (*x.shape[:-1], c.value_dim)
        if v.shape != shape:
            raise ValueError(f"v must have shape {shape}, not {v.shape}")
        *batch, length, _ = shape
        asked: dict[str, np.ndarray] = {}
        if queries is not None:
            queries = _integers("queries", queries)
            if queries.ndim != x.ndim or (*queries.shape[:-2], queries.shape[-1]) != (
                *batch, elements
            ):
                raise ValueError(
                    f"queries must have shape [..., M, {elements}] with the batch of x, "
                    f"not {queries.shape}"
                )
            shape = (*queries.shape[:-1], c.value_dim)
            asked = {
                "queries": queries.reshape(-1, elements).astype(np.int64),
                "query_lengths": np.full(math.prod(batch), queries.shape[-2], dtype=np.int64),
            }
        if 0 in batch:
            return np.zeros(shape, dtype=np.int64)
        sets = np.broadcast_to(sets, batch).reshape(-1)
        workload = Workload(
            sets=sets.astype(np.int64),
            lengths=np.full(len(sets), length, dtype=np.int64),
            tokens=x.reshape(-1, elements).astype(np.int64),
            values=v.reshape(-1, c.value_dim).astype(np.int64),
            **asked,
        )
        workload.check(c)
        return np.concatenate(self.attend(workload)).reshape(shape)

    def attend(self, workload: Workload) -> list[np.ndarray]:
        """Results of every sequence of a `Workload`, of any lengths: list of int64 [N, E].

        Raises
        ------
        EcoformerError
            The workload does not fit, or the engine answers with an error or not at all.
        """
        run = self.stream(workload)
        for i, error in enumerate(run.errors):
            if error:
                raise EcoformerError(
                    f"engine: sequence {i} is answered with the error flag; run 'verify'"
                )
        outputs = run.outputs
        if list(map(len, outputs)) != workload.answers.tolist():
            raise EcoformerError(
                f"engine: {len(outputs)} of {len(workload)} sequences are answered in "
                f"{run.cycles} cycles, or not with all of their tokens; run 'verify'"
            )
        return outputs

    def stream(
        self,
        workload: Workload,
        *,
        stall: float = 0.0,
        seed: int = 0,
        faults: dict[int, str] | None = None,
        updates: dict[int, ParameterImage] | None = None,
    ) -> SimulationRun:
        """Stream ``workload`` and record what happens, be it wrong.

        Parameters are those of `sim.simulate.simulate`. The counters are those of this call.
        """
        faults, updates = dict(faults or {}), dict(sorted((updates or {}).items()))
        job = Job.pack(
            self.config, self.image, workload, stall=stall, faults=faults,
            accesses=accesses(self.config, updates),
        )
        start = time.monotonic()
        if not self._ready:
            self.reset()
        self._write(REGISTERS["ERRORS"].offset, ALL_FLAGS)
        before = self.registers()
        engine, total = self.engine, int(workload.answers.sum())
        select = selection(self.config)
        engine.begin(
            job.beats, job.lasts, job.users, queries=job.queries, stall=stall, seed=seed,
            tail=TAIL_CYCLES, hold=next(iter(updates), None), patience=job.limits.patience,
            limit=job.limits.cycles, most_beats=job.limits.beats, later=select.later,
            rises=select.rises, keep_bytes=keep_bytes(self.config), queue=select.depth,
        )
        self._polls = job.limits.polls
        self._ready = False  # until the last packet has come out correctly
        state = self._load_updates(updates, total)
        if state is State.RUNNING:
            state = self._advance(total)
        run = self._record(faults, updates, before, time.monotonic() - start)
        # After an incomplete record the engine's state is unknown; updates changed its sets.
        complete = state is State.DONE and len(run.beats) == len(workload) and not run.extra_beats
        self._ready = complete and not updates
        self.run = run
        return run

    def reset(self, cycles: int = 5) -> None:
        """Reset the engine and reload every parameter set; its counters restart at zero."""
        self._ready = False
        if not self.engine.reset(cycles):
            raise EcoformerError("engine: a beat is offered or taken in reset; run 'verify'")
        self._program(self.image)
        self._ready = True

    def registers(self) -> dict[str, int]:
        """Every readable register: dict name → value."""
        return {name: self._read(at) for name, at in readable_registers(self.config).items()}

    def close(self) -> None:
        """Free the engine, which must not be used afterwards."""
        self.engine.close()

    def _load_updates(self, updates, total):
        """Load each image while the packet before its own is in flight; then its own begins."""
        later = [*list(updates)[1:], None]
        for (packet, image), following in zip(updates.items(), later):
            if (state := self._advance(total, begun=packet)) is not State.BEGUN:
                return state
            self._program(image)
            self.engine.hold(following)
        return State.RUNNING

    def _advance(self, total, *, begun=None):
        state = State.RUNNING
        while state is State.RUNNING:
            state = self.engine.advance(CHUNK_CYCLES, begun=begun)
            done = self.engine.received // self.config.wire.output_beats
            self.progress.update("simulate", min(total, done), total)
        return state

    def _program(self, image):
        for word in register_writes(self.config, image):
            if word & POLL:
                self._wait_until_free()
            self._write(word >> 32 & 0xFF, word & 0xFFFFFFFF)
        self._wait_until_free()

    def _wait_until_free(self):
        for _ in range(self._polls):
            if self._read(STATUS) >> SHADOW_FREE & 1:
                return
        raise EcoformerError(
            "engine: STATUS bit 1 stays 0, the shadow set never becomes free; run 'verify'"
        )

    def _write(self, address, data):
        if (response := self.engine.write(address, data)) != 0:
            raise _register_error("write to", address, response)

    def _read(self, address):
        answer = self.engine.read(address)
        if answer is None or answer[0]:
            raise _register_error("read of", address, answer and answer[0])
        return answer[1]

    def _record(self, faults, updates, before, seconds):
        record = self.engine.records()
        beats = record["beats"].reshape(-1, row_bytes(self.config))
        ends, cycles = record["ends"].tolist(), self.engine.cycles
        counted = dict(zip(COUNTED, self.engine.counted(), strict=True))
        busy = self.engine.busy()
        registers = self.registers()
        for name, value in registers.items():
            if REGISTERS[name].access is Access.COUNTER:
                registers[name] = value - before[name] & 0xFFFFFFFF
        simulator = self._built.simulator
        return SimulationRun(
            config=self.config,
            beats=[beats[a:b] for a, b in zip([0, *ends], ends)],
            users=record["users"],
            stamps=packet_stamps(record, len(self.config.wire.inlets)),
            extra_beats=len(beats) - (ends[-1] if ends else 0),
            codes=[unpack_codes(self.config, keys) for keys in self.engine.codes()] or None,
            cycles=cycles,
            registers=registers,
            counted=counted,
            busy=None if busy is None else busy[:, : len(units(self.config))],
            faults=faults,
            updates=updates,
            seconds=seconds,
            simulator=f"{simulator.name} {simulator.version}",
        )


def _integers(name, array):
    array = np.asarray(array)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold integers, not {array.dtype}")
    return array


def _register_error(what, address, response):
    names = [name for name, register in REGISTERS.items() if register.offset == address]
    outcome = "is not answered" if response is None else f"is refused with response {response}"
    return EcoformerError(
        f"engine: {what} register {', '.join(names)} ({address:#04x}) {outcome}; run 'verify'"
    )
