# SPDX-License-Identifier: Apache-2.0
"""Verification of a network's mapped netlist: the cells that synthesis chose, with their behaviour.

The netlist has the network's pins, and nothing between its layers can be looked at.
"""

from __future__ import annotations

import time
from pathlib import Path

from ecoformer.progress import SILENT, Progress
from ecoformer.sim.build import build
from ecoformer.sim.mapped import simulation_text
from ecoformer.sim.network.compiled import NETWORK
from ecoformer.sim.network.judge import NetworkMismatch, judge
from ecoformer.sim.network.scenes import Scene
from ecoformer.sim.network.simulate import record_packets
from ecoformer.sim.network.subjects import Stimuli, packets_for, subject_of
from ecoformer.sim.network.verification import NetworkVerification
from ecoformer.spec.network.image import NetworkImage
from ecoformer.spec.network.load import Design

__all__ = ["verify_mapped_network"]

NETLIST = "netlist"
"""The only phase."""


def verify_mapped_network(
    design: Design,
    image: NetworkImage,
    stimuli: Stimuli,
    netlist: str | Path,
    target: str,
    *,
    stall: float = 0.0,
    seed: int = 0,
    simulator: str = "icarus",
    build_dir: str | Path,
    progress: Progress = SILENT,
) -> NetworkVerification:
    """Stream ``stimuli`` through a mapped netlist and compare every score with the integer network.

    Parameters
    ----------
    stimuli : uint8 array [n, channels, S, S] or Tape
        Few: a simulation of cells is slow.
    netlist : str or Path
        Verilog that Yosys wrote after mapping.
    target : str
        A key of :data:`hw.synth.targets.TARGETS`.
    stall, seed, simulator, progress
        Same as for `sim.network.simulate.simulate_network`. In Icarus a pin that has a meaning and
        is neither 0 nor 1 is a mismatch.
    """
    packets = packets_for(design, stimuli)
    built = build(
        simulation_text(netlist, target), build_dir, simulator=simulator, harness=NETWORK,
        progress=progress,
    )
    result = NetworkVerification(f"{built.simulator.name} {built.simulator.version}")
    phase, began = result.phase(NETLIST), time.monotonic()
    progress.update(NETLIST, 0, 1)
    record, undefined = record_packets(
        design, built, packets, stall=stall, seed=seed, build_dir=build_dir
    )
    progress.update(NETLIST, 1, 1)
    scene, want = subject_of(design, image, stimuli).expect(
        Scene(NETLIST, target, [*packets], stall, stall, seed)
    )
    phase.mismatches, counts = judge(design, scene, record, want)
    if undefined:
        phase.mismatches.append(NetworkMismatch(
            phase=NETLIST, scene=target, what=f"a pin is undefined in {undefined:,} cycles"
        ))
    phase.scenes, phase.images, phase.cycles = 1, len(packets), record.cycles
    phase.scores, phase.seconds = counts["scores"], time.monotonic() - began
    return result
