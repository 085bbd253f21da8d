"""For every test: simulations that are built once for all sessions, and skips for missing tools."""

import fcntl
import hashlib
import shutil
import time
from pathlib import Path

import pytest

from ecoformer.errors import EcoformerError

ROOT = Path(__file__).parents[1]
SIMULATIONS = ROOT / "build" / "simulations"
HOW_TO_BUILD = (
    "hw/emit/lint.py", "sim/build.py", "sim/compiled.py", "sim/harness.cpp", "sim/launch.py",
    "sim/toolchain.py",
)
"""Files on which a build depends beside its Verilog text."""
KEPT_DAYS = 7


@pytest.fixture(scope="session")
def builds():
    """Folder of simulator builds, kept by content from session to session, safe in parallel."""
    how = hashlib.sha256(b"".join((ROOT / name).read_bytes() for name in HOW_TO_BUILD))
    return SIMULATIONS / how.hexdigest()[:12]


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
    """Mark what runs on Icarus by its parameter, and skip it where there is none."""
    missing = pytest.mark.skip(reason="needs Icarus Verilog (Debian: apt install iverilog)")
    for item in items:
        if "icarus" in getattr(getattr(item, "callspec", None), "params", {}).values():
            item.add_marker("icarus")
        if shutil.which("iverilog") is None and item.get_closest_marker("icarus"):
            item.add_marker(missing)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Skip a test that comes to need Icarus on a machine without it."""
    try:
        return (yield)
    except EcoformerError as error:
        if shutil.which("iverilog") is None and "iverilog" in str(error):
            pytest.skip(str(error))
        raise
