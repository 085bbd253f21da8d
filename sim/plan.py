# SPDX-License-Identifier: Apache-2.0
"""The plan of a verification: named phases that together cover the whole contract of the wire."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np

from ecoformer.sim.faults import packets
from ecoformer.sim.limits import usual_cycles
from ecoformer.sim.phases import PHASES, PhaseKind
from ecoformer.sim.phases.draw import Draw
from ecoformer.sim.script import Burst, Load, Read, Scene, Write
from ecoformer.spec.config import Config
from ecoformer.spec.memory_map import MemoryMap
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.units import units
from ecoformer.spec.workload import Workload

__all__ = ["NAMES", "Phase", "WORKLOAD", "make_plan"]

WORKLOAD = "workload"
"""The phase of the design's own image and sequences."""
NAMES = (WORKLOAD, *PHASES)
"""Every phase, in order."""
CYCLES = {"compiled": 60_000_000, "verilator": 600_000, "icarus": 100_000}
"""Cycles of the other phases together on an engine of few lanes, by simulator."""
DIRECTED = 0.7
"""Share of the cycles that directed scenes may take."""
LARGEST = 0.3
"""Share of what is left for them that one directed scene may take."""
PACKETS = 400
"""Packets of average size that the random scenes of a phase should hold, at least."""
FEW_LANES = 500
"""Lanes that do not slow a simulator down; with twice as many, a cycle takes twice as long."""
MOST_SCENES = 20
"""Random scenes of a round, for each share that a phase has: each of them loads parameters anew."""
ACCESS_CYCLES = 4
"""Cycles of a register access, about."""


@dataclass(frozen=True, kw_only=True)
class Phase:
    """Scenes that test one side of the contract.

    Parameters
    ----------
    name, about : str
        Its name, and what it tests in a few words.
    scenes : tuple of Scene
    left_out : tuple of str
        Scenes that take more cycles than the plan has.
    """

    name: str
    about: str
    scenes: tuple[Scene, ...]
    left_out: tuple[str, ...] = ()


def make_plan(
    config: Config,
    image: ParameterImage,
    workload: Workload,
    *,
    rounds: int = 1,
    phases: Collection[str] = NAMES,
    simulator: str = "compiled",
    cycles: float | None = None,
    stall: float = 0.0,
    seed: int = 0,
) -> Iterator[Phase]:
    """Yield the phases for an engine of ``config``, each as it is drawn.

    Parameters
    ----------
    image, workload : ParameterImage, Workload
        Of the design; they make the first phase.
    rounds : int
        Times the random part of every phase.
    phases : collection of str
        Of :data:`NAMES`.
    simulator : str
        One of `sim.toolchain.SIMULATORS`; a slow one gets fewer cycles.
    cycles : float
        Cycles of all phases but the first; what the simulator plays in a minute or so by default.
    stall : float
        Probability of gaps and back-pressure of the first phase.
    seed : int
        Of all that is random. A phase does not depend on the others.
    """
    if WORKLOAD in phases:
        yield _workload(config, image, workload, stall, seed)
    lanes = config.engines * sum(unit.lanes for unit in units(config).values())
    if cycles is None:
        cycles = CYCLES[simulator] / max(1, lanes / FEW_LANES)
    kinds = {name: kind for name, kind in PHASES.items() if kind.applies(config)}
    shares = sum(kind.share for kind in kinds.values())
    # Every phase is drawn, so that each is the same whichever others are asked for.
    draws, directed, left = {}, {}, DIRECTED * cycles
    for name, kind in kinds.items():
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        draws[name] = Draw(config, rng, cycles * kind.share / shares / PACKETS)
        directed[name], left = _directed(kind, draws[name], left)
    left += (1 - DIRECTED + rounds - 1) * cycles
    for name, kind in kinds.items():
        if name in phases:
            scenes, left_out = directed[name]
            most = rounds * kind.share * MOST_SCENES
            scenes += _random(kind, draws[name].going_on(), left * kind.share / shares, most)
            yield Phase(
                name=name, about=kind.about, scenes=tuple(scenes), left_out=tuple(left_out)
            )


def _workload(config, image, workload, stall, seed):
    sent = tuple(packets(config, [image] * len(workload), workload, {}))
    scene = Scene(
        name="design", image=image, packets=sent, gaps=stall, pressure=stall, seed=seed
    )
    return Phase(name=WORKLOAD, about="the design's parameters and sequences", scenes=(scene,))


def _directed(kind: PhaseKind, draw: Draw, left: float):
    """Directed scenes that fit, names of the others, and the cycles that are left."""
    scenes, left_out = [], []
    for scene in kind.directed(draw):
        cost = _cost(draw.config, scene)
        if cost <= LARGEST * left:
            scenes.append(scene)
            left -= cost
        else:
            left_out.append(f"{scene.name} ({cost:,.0f} cycles)")
    return (scenes, left_out), left


def _random(kind: PhaseKind, draw: Draw, left: float, most: int):
    """Random scenes of ``left`` cycles together, at most ``most``."""
    scenes = []
    for _, scene in zip(range(most), kind.random(draw)):
        left -= _cost(draw.config, scene)
        if left < 0:
            break
        scenes.append(scene)
    return scenes


def _cost(config, scene):
    """Cycles of a scene, about."""
    beats = [packet.lengths for packet in scene.packets]
    loads = scene.sets + sum(isinstance(event, Load) for event in scene.events)
    accesses = sum(isinstance(event, (Read, Write)) for event in scene.events)
    accesses += sum(len(event.accesses) for event in scene.events if isinstance(event, Burst))
    streamed = usual_cycles(config, beats, scene.gaps, scene.pressure)
    return streamed + ACCESS_CYCLES * (loads * MemoryMap(config).set_words + accesses)
