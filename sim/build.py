# SPDX-License-Identifier: Apache-2.0
"""Compiled simulations of Verilog text, built once and kept by content."""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cocotb

from ecoformer.errors import EcoformerError
from ecoformer.files import UNBUILDABLE
from ecoformer.hw.emit.lint import waivers
from ecoformer.logs import reason
from ecoformer.processes import child, scratch
from ecoformer.progress import SILENT, Progress
from ecoformer.sim.compiled import ENGINE, PROBE, Harness, compile_commands
from ecoformer.sim.toolchain import SIMULATORS, Simulator, find_simulator, tool_environment
from ecoformer.sim.verilog import read_verilog

__all__ = [
    "Build", "build", "runner_step", "WAVE_FORMATS",
]

WAVE_FORMATS = ("fst", "vcd")
COVERAGE = ("--coverage-line", "--coverage-toggle")
OURS = re.compile(rf"({'|'.join(SIMULATORS)})-[0-9a-f]{{20}}")
"""Names of builds."""
KEPT_DAYS = 30
"""A build that has not been used for as long is dropped."""


@dataclass(frozen=True)
class Build:
    """A compiled simulation.

    Parameters
    ----------
    folder : Path
        Its files; several simulations may run from it at the same time.
    top : str
        Name of the top module.
    simulator : Simulator
    waves : str or None
        Wave format that it can record.
    """

    folder: Path
    top: str
    simulator: Simulator
    waves: str | None


def build(
    verilog: str | Path,
    build_dir: str | Path,
    *,
    simulator: str = "verilator",
    waves: str | None = None,
    coverage: bool = False,
    harness: Harness = ENGINE,
    progress: Progress = SILENT,
) -> Build:
    """Compile ``verilog``, or return an earlier build of the same text.

    Safe to call from several processes at once: one compiles, the others wait for it.

    Parameters
    ----------
    verilog : str or Path
        Verilog text, or a file of it.
    build_dir : Path
        Folder of all builds.
    simulator : str
        One of `sim.toolchain.SIMULATORS`.
    waves : str
        ``fst`` or ``vcd``; builds with waves are slower.
    coverage : bool
        Whether a ``compiled`` simulation counts what lines and bits it exercises.
    harness : Harness
        What drives the pins of a ``compiled`` simulation.
    progress : Progress
        Stage ``build``.

    Raises
    ------
    EcoformerError
        No simulator, or it refuses the text.
    """
    text = read_verilog(verilog)
    top = _top_module(text, harness.pins)
    build_dir = Path(build_dir).resolve()
    if UNBUILDABLE.search(str(build_dir)):
        raise EcoformerError(
            f"{build_dir}: make does not build in a path with spaces, quotes, $ or the like; "
            "choose another --build-dir"
        )
    build_dir.mkdir(parents=True, exist_ok=True)
    if waves is not None and waves not in WAVE_FORMATS:
        raise EcoformerError(f"waves {waves!r}: no such format; choose fst or vcd")
    tool = find_simulator(simulator, build_dir / "ecoformer-toolchain")
    if coverage:
        tool = replace(tool, build_args=(*tool.build_args, *COVERAGE))
    identity = [tool.identity, cocotb.__version__, sys.version, str(waves)]
    if simulator == "compiled":
        identity += map(shlex.join, compile_commands("", "", "", ()))
    runtime = build_dir / "ecoformer-toolchain" / f"{simulator}-{_digest(identity)}"
    if simulator == "compiled":
        identity.append(harness.source.read_text(encoding="utf-8"))
    key = _digest([*identity, text])
    done = Build(build_dir / f"{simulator}-{key}", top, tool, waves)
    with _lock(build_dir / f"{simulator}-{key}.lock"):
        if not done.folder.is_dir():
            progress.update("build", 0, 1)
            _drop_unused(build_dir)
            _compile(text, done, runtime, harness)
            progress.update("build", 1, 1)
    return done


@contextlib.contextmanager
def runner_step(
    folder: Path, simulator: str, method: str, arguments: dict[str, Any], env: dict[str, str]
) -> Iterator[subprocess.Popen]:
    """One step of cocotb's runner as a process that ends with the block, at the latest."""
    step = folder / f"{method}.json"
    facts = {"simulator": simulator, "method": method, "arguments": arguments}
    step.write_text(json.dumps(facts), encoding="utf-8")
    environment = {
        **tool_environment(),
        "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
        **env,
    }
    command = [sys.executable, "-m", "ecoformer.sim.launch", str(step)]
    with (
        (folder / f"{method}.out").open("w", encoding="utf-8") as output,
        child(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        yield process


def _compile(text, done, runtime, harness):
    with scratch(done.folder.parent, "partial-") as partial:
        _compile_in(partial, text, done, runtime, harness)


def _compile_in(partial, text, done, runtime, harness):
    source = partial / "design.v"
    source.write_text(text, encoding="utf-8")
    source.with_suffix(".vlt").write_text(f"{waivers('design')}\n{PROBE}\n", encoding="utf-8")
    for path in runtime.glob("*.o"):
        copy = shutil.copyfile(path, partial / path.name)
        os.utime(copy, (time.time() + 3600,) * 2)  # newer than its sources, for make
    step = _compiled_step if done.simulator.name == "compiled" else _build_step
    with step(partial, source, done, harness) as process:
        status = process.wait()
    if status:
        failed = done.folder.with_name(done.folder.name + ".failed")
        shutil.rmtree(failed, ignore_errors=True)
        partial.rename(failed)
        log = failed / "build.log"
        why = reason(status, log, failed / "build.out")
        raise EcoformerError(
            f"{done.simulator.name} does not build the design: {why}; the log is {log}"
        )
    if not runtime.is_dir():
        _keep_runtime(partial, runtime)
    _drop_leftovers(partial)
    partial.rename(done.folder)


@contextlib.contextmanager
def _compiled_step(partial, source, done, harness):
    build_args = [*done.simulator.build_args, str(source.with_suffix(".vlt"))]
    commands = compile_commands(partial, source, done.top, build_args, harness.source)
    with (
        (partial / "build.log").open("w", encoding="utf-8") as log,
        child(
            ["sh", "-c", " && ".join(map(shlex.join, commands))],
            env={**tool_environment(), **done.simulator.env},
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
        ) as process,
    ):
        yield process


def _build_step(partial, source, done, _):
    sources, build_args = [str(source)], list(done.simulator.build_args)
    if done.waves and done.simulator.name == "icarus":
        sources.append(_write_dump(partial, done.top))
        build_args += ["-s", "ecoformer_dump"]
    if done.simulator.name == "verilator":
        build_args.append(str(source.with_suffix(".vlt")))
        if done.waves == "fst":
            build_args.append("--trace-fst")
    return runner_step(
        partial,
        done.simulator.name,
        "build",
        {
            "sources": sources,
            "hdl_toplevel": done.top,
            "build_dir": str(partial),
            "build_args": build_args,
            "timescale": ["1ns", "1ps"],
            "waves": done.waves is not None and done.simulator.name == "verilator",
            "always": True,
            "log_file": str(partial / "build.log"),
        },
        done.simulator.env,
    )


def _write_dump(folder, top):
    """Second top module that records waves; cocotb's own is SystemVerilog, refused by -g2005."""
    path = folder / "dump.v"
    path.write_text(
        "module ecoformer_dump;\n"
        f'  initial begin $dumpfile("dump.fst"); $dumpvars(0, {top}); end\n'
        "endmodule\n",
        encoding="utf-8",
    )
    return str(path)


def _keep_runtime(partial, runtime):
    """Keep the objects of Verilator's own library: they take longer to compile than most engines.

    They depend on the tools that the name of the folder ``runtime`` stands for, not on the design.
    """
    objects = list(partial.glob("verilated*.o"))
    if objects:
        kept = Path(tempfile.mkdtemp(prefix=runtime.name + ".", dir=runtime.parent))
        for path in objects:
            shutil.copyfile(path, kept / path.name)
        with contextlib.suppress(OSError):  # another process was faster
            kept.rename(runtime)
        shutil.rmtree(kept, ignore_errors=True)


def _digest(texts):
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:20]


def _drop_unused(build_dir):
    """Drop what nobody has used for long: a lock is written at every use, and held during it."""
    for path in build_dir.glob("*.lock"):
        if not OURS.fullmatch(path.stem):
            continue  # the folder may be the user's own
        with contextlib.suppress(OSError), path.open("a", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if time.time() - path.stat().st_mtime > KEPT_DAYS * 86_400:
                for folder in (path.with_suffix(""), path.with_suffix(".failed")):
                    shutil.rmtree(folder, ignore_errors=True)


def _drop_leftovers(folder):
    """Delete objects and generated C++, as large as the program; only the program runs."""
    for path in folder.iterdir():
        if path.suffix in (".o", ".a", ".cpp", ".h", ".d", ".gch"):
            path.unlink()


def _top_module(text, pins):
    """Name of the module that has all of ``pins``."""
    headers = re.findall(r"^\s*module\s+\\?(\S+?)\s*\((.*?)\);", text, re.MULTILINE | re.DOTALL)
    names = [name for name, ports in headers if {*pins} <= {*re.findall(r"\w+", ports)}]
    if not names:
        raise EcoformerError("Verilog text: no module with the engine's pins; run 'generate'")
    return names[0]


@contextlib.contextmanager
def _lock(path):
    with path.open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
