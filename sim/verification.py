# SPDX-License-Identifier: Apache-2.0
"""Verification of generated Verilog against the whole contract of the wire, phase by phase."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ecoformer.progress import SILENT, Progress
from ecoformer.sim.bench import play
from ecoformer.sim.build import build
from ecoformer.sim.cocotb_player import play_in_simulator
from ecoformer.sim.compiled import CompiledEngine
from ecoformer.sim.compiled_bench import CompiledBench, run_now
from ecoformer.sim.judge import judge
from ecoformer.sim.plan import WORKLOAD, Phase
from ecoformer.sim.run import SimulationRun
from ecoformer.sim.verify import Report
from ecoformer.spec.config import Config

__all__ = ["PhaseReport", "Verification", "verify", "verify_on"]

@dataclass(kw_only=True)
class PhaseReport(Report):
    """Result of one phase.

    Parameters
    ----------
    name, about : str
        Those of the `Phase`.
    scenes, cycles : int
        Scenes played and their cycles.
    happened : Counter
        Errors answered, by name, and each ``load`` and ``reset``.
    left_out : tuple of str
        Scenes that take more cycles than there are.
    seconds : float
    """

    name: str
    about: str
    scenes: int = 0
    cycles: int = 0
    happened: Counter = field(default_factory=Counter)
    left_out: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """True if something was played and every bit agreed."""
        return not self.mismatches and self.scenes > 0

    @property
    def faults(self) -> int:
        """Bad and aborted packets."""
        return sum(self.happened.values()) - self.happened["load"] - self.happened["reset"]

    @property
    def loads(self) -> int:
        """Parameter sets that were loaded while packets streamed."""
        return self.happened["load"]

    def as_dict(self) -> dict[str, Any]:
        return {
            "phase": self.name,
            **super().as_dict(),
            "scenes": self.scenes,
            "cycles": self.cycles,
            "faults": self.faults,
            "happened": dict(self.happened),
            "left_out": list(self.left_out),
            "seconds": round(self.seconds, 3),
        }


@dataclass
class Verification:
    """Result of a plan.

    Parameters
    ----------
    simulator : str
        Name and version.
    phases : list of PhaseReport
    run : SimulationRun or None
        Of the design's own sequences, if they are in the plan and were not cut short.
    """

    simulator: str = ""
    run: SimulationRun | None = None
    phases: list[PhaseReport] = field(default_factory=list)

    @property
    def mismatches(self) -> list:
        """Those of all phases."""
        return [mismatch for phase in self.phases for mismatch in phase.mismatches]

    @property
    def ok(self) -> bool:
        """True if something was compared and every bit agreed."""
        return not self.mismatches and any(phase.scenes for phase in self.phases)

    def total(self, name: str) -> int:
        """Sum over the phases."""
        return sum(getattr(phase, name) for phase in self.phases)

    def as_dict(self) -> dict[str, Any]:
        """The result as a dict for JSON."""
        totals = ("sequences", "words", "codes", "registers", "scenes", "cycles", "faults")
        return {
            "ok": self.ok,
            "simulator": self.simulator,
            **{name: self.total(name) for name in totals},
            "simulation": self.run and self.run.summary(),
            "mismatches": [m for phase in self.phases for m in phase.as_dict()["mismatches"]],
            "phases": [
                {name: value for name, value in phase.as_dict().items() if name != "mismatches"}
                for phase in self.phases
            ],
        }


def verify(
    config: Config,
    verilog: str | Path,
    plan: Iterable[Phase],
    *,
    simulator: str = "compiled",
    seed: int = 0,
    first: bool = False,
    build_dir: str | Path,
    progress: Progress = SILENT,
) -> Verification:
    """Play every scene of ``plan`` on the engine that ``verilog`` describes, and judge it.

    Parameters
    ----------
    verilog : Path or str
        Verilog file or text.
    plan : iterable of Phase
        See `sim.plan.make_plan`.
    simulator : str
        One of `sim.toolchain.SIMULATORS`.
    seed : int
        Of the bits with which registers start, where the simulator chooses them.
    first : bool
        Whether to stop after the first scene with a mismatch.
    build_dir : Path
        Folder in which builds are kept.
    progress : Progress
        Stages ``build`` and each phase.

    Raises
    ------
    EcoformerError
        No simulator, or a design that it refuses. A design that is wrong is no exception.
    """
    built = build(verilog, build_dir, simulator=simulator, progress=progress)
    name = f"{built.simulator.name} {built.simulator.version}"
    phases = list(plan)
    scenes = [scene for phase in phases for scene in phase.scenes]
    if simulator != "compiled":
        records = play_in_simulator(config, built, scenes, build_dir)
        with contextlib.closing(records):
            return _verify(config, phases, records, first, name, progress)
    with contextlib.closing(CompiledEngine(built.folder, seed)) as engine:
        records = _play_compiled(config, engine, scenes)
        return _verify(config, phases, records, first, name, progress)


def verify_on(
    engine: CompiledEngine, config: Config, plan: Iterable[Phase], *, first: bool = False
) -> Verification:
    """Same as :func:`verify`, on an engine that is compiled already."""
    phases = list(plan)
    records = _play_compiled(config, engine, [s for phase in phases for s in phase.scenes])
    return _verify(config, phases, records, first, "compiled", SILENT)


def _play_compiled(config, engine, scenes):
    bench = CompiledBench(config, engine)
    for scene in scenes:
        yield run_now(play(bench, config, scene))


def _verify(config, phases, records, first, simulator, progress):
    result = Verification(simulator)
    for phase in phases:
        _verify_phase(result, config, phase, records, first, progress)
        if first and result.mismatches:
            break
    return result


def _verify_phase(result, config, phase, records, first, progress):
    report = PhaseReport(name=phase.name, about=phase.about, left_out=phase.left_out)
    start, scenes = time.monotonic(), phase.scenes
    numbers = Counter(scene.name for scene in scenes)
    seen: Counter[str] = Counter()
    for scene, record in zip(scenes, records):
        judged, happened = judge(config, scene, record)
        seen[scene.name] += 1
        name = f"{scene.name} {seen[scene.name]}" if numbers[scene.name] > 1 else scene.name
        report.scenes += 1
        report.cycles += record.cycles
        report.happened += happened
        for count in ("sequences", "words", "codes", "registers"):
            setattr(report, count, getattr(report, count) + getattr(judged, count))
        report.mismatches += [
            replace(mismatch, phase=phase.name, scene=name) for mismatch in judged.mismatches
        ]
        progress.update(phase.name, report.scenes, len(scenes))
        if first and report.mismatches:
            break
    report.seconds = time.monotonic() - start
    result.phases.append(report)
    if phase.name == WORKLOAD:
        result.run = _as_run(config, record, report.seconds, result.simulator)


def _as_run(config, record, seconds, simulator):
    return SimulationRun(
        config=config, beats=record.beats, users=np.array(record.users, np.int64),
        stamps=record.stamps, extra_beats=len(record.rest), codes=record.codes,
        cycles=record.cycles, registers=record.registers, counted=record.counted,
        busy=record.busy, seconds=seconds, simulator=simulator,
    )
