# SPDX-License-Identifier: Apache-2.0
"""Who must notice a mutant: a verification, and the generated testbench.

Every mutant runs in a process of its own, because a fault may stop the simulator.
"""

import contextlib
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from benchmarks.mutation.apart import apart
from benchmarks.mutation.netlist import Mutated
from ecoformer.sim.toolchain import find_simulator, tool_environment

__all__ = ["PASSED", "SLOW", "Scenes", "Testbench", "Verification"]

PASSED = ""
"""What a killer answers about a mutant that it does not notice; else the first difference."""
SLOW = "out of time"
"""What it answers if it was stopped before its end."""
HANG_SECONDS = 600
"""A simulation that takes longer hangs: nothing bounds it from outside."""


class Scenes(Protocol):
    """The scenes of a verification, on a simulation that is opened for each mutant."""

    def __len__(self) -> int:
        """How many there are."""

    def open(self) -> contextlib.AbstractContextManager[Callable[[int], str]]:
        """Start a simulation: function from the number of a scene to its first difference."""


class Verification:
    """What ``ecoformer verify`` does, scene by scene.

    Parameters
    ----------
    design : Mutated
    scenes : Scenes
    """

    def __init__(self, design: Mutated, scenes: Scenes):
        self.design, self.scenes = design, scenes

    def judge(self, number: int, *, first: int = 0, seconds: float) -> tuple[str, int]:
        """Play scenes from number ``first`` on for about ``seconds`` with mutant ``number``.

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
        with self.scenes.open() as play:
            for i in range(first, len(self.scenes)):
                if time.process_time() > end:
                    return f"{i} {SLOW}"
                if found := play(i):
                    return f"{i} {found}"
        return f"{len(self.scenes)} {PASSED}"


class Testbench:
    """The testbench that ``generate`` writes.

    Parameters
    ----------
    design : Mutated
    write : function of Path
        Writes it into a folder.
    simulator : str
        ``verilator`` or ``icarus``, which knows X.
    """

    def __init__(self, design: Mutated, write: Callable[[Path], None], simulator: str):
        self.design = design
        self.folder = folder = design.folder / f"testbench-{simulator}"
        folder.mkdir(exist_ok=True)
        write(folder)
        name = f"tb_{design.top}"
        sources = [f"tb/{name}.v", str(design.folder / "mutated.v")]
        tool = find_simulator(simulator, folder / "toolchain")
        environment = {**tool_environment(), **tool.env}
        if simulator == "icarus":
            build_it = ["iverilog", "-g2005", "-o", "tb.vvp", *sources]
            self.command = ["vvp", "-n", "tb.vvp", "+gaps"]
        else:
            build_it = ["verilator", "--binary", "--timing", "-Wno-fatal", "-Wno-lint", *sources]
            self.command = [f"obj_dir/V{name}", "+gaps"]
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
