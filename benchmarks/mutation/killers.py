# SPDX-License-Identifier: Apache-2.0
"""Who must notice a mutant: the default verification, the generated testbench, and more of both.

Every mutant runs in a process of its own, because a fault may stop the simulator.
"""

import contextlib
import subprocess
import time
from pathlib import Path

import numpy as np

from benchmarks.mutation.apart import apart
from benchmarks.mutation.netlist import Mutated
from ecoformer.cli.generate import RANDOM_SEQUENCES, RANDOM_TOKENS
from ecoformer.sim.build import build
from ecoformer.sim.compiled import CompiledEngine
from ecoformer.sim.plan import Phase, make_plan
from ecoformer.sim.stimulus import random_image, random_workload
from ecoformer.sim.testbench.write import write_testbench
from ecoformer.sim.toolchain import find_simulator, tool_environment
from ecoformer.sim.verification import verify_on
from ecoformer.spec.config import Config

__all__ = ["Testbench", "Verification", "PASSED", "SLOW"]

PASSED = ""
"""What a killer answers about a mutant that it does not notice; else the first difference."""
SLOW = "out of time"
"""What it answers if it was stopped before its end."""
HANG_SECONDS = 600
"""A simulation that takes longer hangs: nothing bounds it from outside."""
BUILDS = Path("build/mutants/simulations")
TOP = "ecoformer_engine"


def generated(config: Config, seed: int):
    """Image and workload that ``generate`` draws for a configuration."""
    rng = np.random.default_rng(seed)
    image = random_image(config, rng)
    lengths = (1, min(RANDOM_TOKENS, config.max_tokens))
    return image, random_workload(
        config, rng, RANDOM_SEQUENCES, lengths=lengths, sets=image.sets
    )


class Verification:
    """What ``ecoformer verify`` does by default, scene by scene, the cheap ones first.

    Parameters
    ----------
    config : Config
    design : Mutated
    seed : int
    rounds : int
        6 for ``verify --full``.
    """

    def __init__(self, config: Config, design: Mutated, *, seed: int = 0, rounds: int = 1):
        self.config, self.design, self.seed = config, design, seed
        self.folder = build(design.verilog, BUILDS, simulator="compiled").folder
        plan = make_plan(config, *generated(config, seed), rounds=rounds, seed=seed)
        scenes = [(phase, scene) for phase in plan for scene in phase.scenes]
        self.scenes = sorted(scenes, key=lambda pair: _cost(pair[1]))

    def judge(self, number: int, *, first: int = 0, seconds: float) -> tuple[str, int]:
        """Play scenes from number ``first`` on for about ``seconds``.

        Returns
        -------
        str
            The first difference, :data:`PASSED`, or :data:`SLOW`.
        int
            Scenes that were passed.
        """
        self.design.switch_on(number)
        answer = apart(lambda: self._play(first, seconds), HANG_SECONDS + seconds)
        passed, _, why = answer.partition(" ")
        return (why, int(passed)) if passed.isdigit() else (answer, first)

    def _play(self, first, seconds):
        end = time.process_time() + seconds
        with contextlib.closing(CompiledEngine(self.folder, self.seed)) as engine:
            for i, (phase, scene) in enumerate(self.scenes[first:], first):
                if time.process_time() > end:
                    return f"{i} {SLOW}"
                alone = Phase(name=phase.name, about=phase.about, scenes=(scene,))
                found = verify_on(engine, self.config, [alone], first=True).mismatches
                if found:
                    return f"{i} {found[0]}"
        return f"{len(self.scenes)} {PASSED}"


class Testbench:
    """The testbench that ``generate`` writes.

    Parameters
    ----------
    config : Config
    design : Mutated
    simulator : str
        ``verilator`` or ``icarus``, which knows X.
    """

    def __init__(self, config: Config, design: Mutated, simulator: str, *, seed: int = 0):
        self.design = design
        self.folder = folder = design.folder / f"testbench-{simulator}"
        folder.mkdir(exist_ok=True)
        write_testbench(folder, config, *generated(config, seed), name=TOP, seed=seed)
        sources = [f"tb/tb_{TOP}.v", str(design.folder / "mutated.v")]
        tool = find_simulator(simulator, folder / "toolchain")
        environment = {**tool_environment(), **tool.env}
        if simulator == "icarus":
            build_it = ["iverilog", "-g2005", "-o", "tb.vvp", *sources]
            self.command = ["vvp", "-n", "tb.vvp", "+gaps"]
        else:
            build_it = ["verilator", "--binary", "--timing", "-Wno-fatal", "-Wno-lint", *sources]
            self.command = [f"obj_dir/Vtb_{TOP}", "+gaps"]
            environment["MAKEFLAGS"] = f"{environment.get('MAKEFLAGS', '')} OPT_FAST=-O1"
        subprocess.run(
            build_it, cwd=folder, env=environment, check=True, capture_output=True, text=True
        )

    def judge(self, number: int) -> str:
        """Its last words, or :data:`PASSED`."""
        self.design.switch_on(number)
        try:
            reply = subprocess.run(
                self.command, cwd=self.folder, capture_output=True, text=True, check=False,
                timeout=HANG_SECONDS,
            )
        except subprocess.TimeoutExpired:
            return f"no end after {HANG_SECONDS} s"
        if reply.returncode == 0:
            return PASSED
        lines = [line for line in reply.stdout.splitlines() if line.startswith("FAIL")]
        return (lines or [f"the simulator ends with status {reply.returncode}"])[0]


def _cost(scene) -> int:
    """Beats and register accesses of a scene."""
    return sum(len(packet.beats) for packet in scene.packets) + len(scene.events)
