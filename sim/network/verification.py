# SPDX-License-Identifier: Apache-2.0
"""Verification of a network's Verilog against the integer network, phase by phase."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ecoformer.hw.emit.network import emit_network
from ecoformer.progress import SILENT, Progress
from ecoformer.sim.build import build
from ecoformer.sim.network.busy import busy_bits, busy_cycles
from ecoformer.sim.network.compiled import NETWORK, CompiledNetwork
from ecoformer.sim.network.judge import (
    NetworkMismatch,
    answers_at_rate,
    judge,
    judge_busy,
    judge_latency,
    judge_loads,
    judge_pace,
)
from ecoformer.sim.network.record import State
from ecoformer.sim.network.scenes import Scene
from ecoformer.sim.network.stimulus import random_image
from ecoformer.sim.network.subjects import Stimuli, Subject, random_stimuli, subject_of
from ecoformer.spec.network.decoder import DecoderDesign
from ecoformer.spec.network.image import NetworkImage
from ecoformer.spec.network.load import Design

__all__ = ["NetworkPhase", "NetworkVerification", "PARAMETERS", "play_scenes", "verify_network"]

PARAMETERS = "parameters"
"""Phase of networks with other parameters, which are generated and built for it."""
OTHER_STIMULI = 4, 64
"""Images, and tokens, for them."""


@dataclass
class NetworkPhase:
    """What a phase compared.

    Parameters
    ----------
    name : str
    scenes, images, bad, loads, resets, cycles : int
        Played.
    scores, elements : int
        Compared, at the pins and between the layers.
    mismatches : list of NetworkMismatch
    seconds : float
    """

    name: str
    scenes: int = 0
    images: int = 0
    bad: int = 0
    loads: int = 0
    resets: int = 0
    cycles: int = 0
    scores: int = 0
    elements: int = 0
    mismatches: list[NetworkMismatch] = field(default_factory=list)
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """For JSON, without the mismatches themselves."""
        counts = {n: v for n, v in vars(self).items() if n not in ("name", "mismatches")}
        return {
            "phase": self.name,
            **counts,
            "mismatches": len(self.mismatches),
            "seconds": round(self.seconds, 3),
        }


@dataclass
class NetworkVerification:
    """Result of a verification.

    Parameters
    ----------
    simulator : str
    phases : list of NetworkPhase
    cycles_per_image : float or None
        Of an image, or of a token of a decoder, measured in the steady state; None if that was not
        looked at.
    latency : int or None
        Cycles from the first beat of one to the last of its answer, in an idle network.
    """

    simulator: str = ""
    phases: list[NetworkPhase] = field(default_factory=list)
    cycles_per_image: float | None = None
    latency: int | None = None

    @property
    def mismatches(self) -> list[NetworkMismatch]:
        """Those of all phases."""
        return [mismatch for phase in self.phases for mismatch in phase.mismatches]

    @property
    def ok(self) -> bool:
        """True if something was compared and every bit agreed."""
        return not self.mismatches and any(phase.scores for phase in self.phases)

    def phase(self, name: str) -> NetworkPhase:
        """The phase ``name``, a new one if it was not begun."""
        for phase in self.phases:
            if phase.name == name:
                return phase
        self.phases.append(NetworkPhase(name))
        return self.phases[-1]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        counts = ("scenes", "images", "bad", "loads", "resets", "cycles", "scores", "elements")
        return {
            "ok": self.ok,
            "simulator": self.simulator,
            **{name: sum(getattr(phase, name) for phase in self.phases) for name in counts},
            "cycles_per_image": self.cycles_per_image,
            "latency": self.latency,
            "mismatches": [mismatch.as_dict() for mismatch in self.mismatches],
            "phases": [phase.as_dict() for phase in self.phases],
        }


def verify_network(
    design: Design,
    image: NetworkImage,
    verilog: str | Path,
    stimuli: Stimuli,
    *,
    phases: Sequence[str] | None = None,
    rounds: int = 1,
    parameter_sets: int = 0,
    stall: float = 0.0,
    seed: int = 0,
    build_dir: str | Path,
    progress: Progress = SILENT,
) -> NetworkVerification:
    """Play every scene on the network that ``verilog`` describes, and judge it.

    Every beat of every answer, and every element that a layer sends, is compared with the integer
    network.

    Parameters
    ----------
    verilog : Path or str
        File or text.
    stimuli : uint8 array [n, channels, S, S] or Tape
        Images, or tokens for a decoder; extremes are added.
    phases : sequence of str
        Of `Subject.phases`, all by default.
    rounds : int
        How often everything random is repeated.
    parameter_sets : int
        Networks of the same design with other parameters, each of which is generated and compiled.
    stall : float
        Of the first phase.
    seed : int
        Of all that is random, and of the bits with which registers start.

    Raises
    ------
    EcoformerError
        No simulator, or a design that it refuses. A network that is wrong is no exception.
    """
    built = build(
        verilog, build_dir, simulator="compiled", harness=NETWORK, progress=progress
    )
    result = NetworkVerification(f"{built.simulator.name} {built.simulator.version}")
    subject = subject_of(design, image, stimuli)
    chosen = subject.phases if phases is None else phases
    scenes = subject.scenes(chosen, rounds=rounds, stall=stall, seed=seed)
    network = CompiledNetwork(design, built.folder, seed)
    play_scenes(result, subject, network, scenes, progress)
    for number in range(parameter_sets):
        _with_others(result, design, number, seed, build_dir, progress)
    return result


def _with_others(result, design, number, seed, build_dir, progress):
    """A network of the same design with parameters of its own; every second one has extremes."""
    image = random_image(design, seed + 1 + number, extremes=bool(number % 2))
    progress.line(f"{PARAMETERS}: generating network {number + 1}")
    built = build(
        emit_network(design, image), build_dir, simulator="compiled", harness=NETWORK,
        progress=progress,
    )
    count = OTHER_STIMULI[isinstance(design, DecoderDesign)]
    subject = subject_of(design, image, random_stimuli(design, seed + 1 + number, count))
    scenes = [
        Scene(PARAMETERS, f"network {number + 1}, {scene.name}", scene.packets)
        for scene in subject.scenes(subject.phases[:1], seed=seed)
    ]
    play_scenes(result, subject, CompiledNetwork(design, built.folder, seed), scenes, progress)


def play_scenes(
    result: NetworkVerification,
    subject: Subject,
    network: CompiledNetwork,
    scenes: Iterable[Scene],
    progress: Progress = SILENT,
) -> None:
    """Play ``scenes`` in their order, judge them, and add what was found to ``result``.

    Parameters
    ----------
    subject : Subject
        What must come back; it was told of all that the network was sent before.
    network : CompiledNetwork
    """
    design = subject.design
    bits = busy_bits(design)
    network.watch(design.sent_widths)
    network.count(len(bits))
    scenes = list(scenes)
    total = Counter(scene.phase for scene in scenes)
    for scene in scenes:
        phase = result.phase(scene.phase)
        start = time.monotonic()
        if scene.latency:
            expected, want = subject.expect(scene)
            found = _one_at_a_time(result, phase, subject, expected, network, want)
        else:
            found = _play_scene(result, phase, subject, scene, network, bits)
        phase.mismatches += found
        phase.scenes += 1
        phase.seconds += time.monotonic() - start
        progress.update(phase.name, phase.scenes, max(phase.scenes, total[scene.phase]))


def _play_scene(result, phase, subject, scene, network, bits):
    design = subject.design
    record = network.play(
        scene.packets, gaps=scene.gaps, pressure=scene.pressure, seed=scene.seed, limit=scene.limit,
        loads=scene.loads,
    )
    # Which packets a load comes before is the network's choice.
    scene, want = subject.expect_loads(scene, record.loads)
    if scene.limit is not None or record.state != State.DONE:
        network.reset()
        subject.reset()
        phase.resets += 1
    found, counts = judge(design, scene, record, want)
    found += judge_loads(design, scene, record)
    _count(phase, scene.packets, record, counts)
    phase.loads += len(record.loads)
    if scene.rate:
        late = answers_at_rate(design, record)[len(record.last_out) // 2 :]
        result.cycles_per_image = float(np.diff(late).mean()) if len(late) > 1 else None
        found += judge_busy(scene, record, busy_cycles(design), bits)
        if isinstance(design, DecoderDesign):
            found += judge_pace(design, scene, record, want)
    return found


def _one_at_a_time(result, phase, subject, scene, network, want):
    design, found, latencies = subject.design, [], []
    for number, packet in enumerate(scene.packets):
        single = Scene(scene.phase, f"{scene.name}, {number}", [packet])
        record = network.play([packet])
        if record.state != State.DONE:
            network.reset()
            subject.reset()
        mismatches, counts = judge(design, single, record, want)
        _count(phase, [packet], record, counts)
        found += [*mismatches, *judge_pace(design, single, record, want)]
        if len(record.last_out):
            latencies.append(int(record.last_out[0] - record.first_in[0]))
    result.latency = latencies[0] if latencies else None
    return found + list(judge_latency(scene, latencies))


def _count(phase, packets, record, counts):
    phase.images += len(packets)
    phase.bad += sum(packet.image is None for packet in packets)
    phase.cycles += record.cycles
    phase.scores += counts["scores"]
    phase.elements += counts["elements"]
