# SPDX-License-Identifier: Apache-2.0
"""Imports between the rooms run one way, and what simulates needs no torch."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
INSTALLED = "ecoformer"
FOLDERS = {"ecoformer.hw": "hw", "ecoformer.golden": "golden", "ecoformer.sim": "sim"}
"""Packages that lie elsewhere than their name says."""
SPEC = {
    "ecoformer", "ecoformer.errors", "ecoformer.files", "ecoformer.inputs", "ecoformer.logs",
    "ecoformer.outputs", "ecoformer.presets", "ecoformer.processes", "ecoformer.progress",
    "ecoformer.spec",
}
MAY_IMPORT = {
    "ecoformer/spec": SPEC,
    "ecoformer/driver": {"ecoformer.driver", "ecoformer.spec.frames"},
    "golden": SPEC | {"ecoformer.golden"},
    "golden/integer": SPEC | {"ecoformer.golden.integer"},
    "hw": SPEC | {"ecoformer.hw"},
    "hw/lib": SPEC | {"ecoformer.hw.lib"},
    "sim": SPEC | {"ecoformer.hw", "ecoformer.sim", "ecoformer.golden.integer"},
}
"""What each room may import; ``ecoformer`` alone is the version."""
NEVER = {
    "ecoformer/spec": {"torch", "amaranth", "cocotb"},
    "ecoformer/driver": {"torch", "amaranth", "cocotb", "rich", "safetensors", "typer"},
    "golden": {"amaranth", "cocotb"},
    "golden/integer": {"torch", "amaranth", "cocotb"},
    "hw": {"torch", "cocotb"},
    "hw/lib": {"torch", "cocotb"},
    "sim": {"torch", "amaranth"},
}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def inside(module, allowed):
    return any(module == name or module.startswith(f"{name}.") for name in allowed - {INSTALLED})


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_run_one_way(room):
    paths = sorted((ROOT / room).rglob("*.py"))
    assert paths
    for path in paths:
        for module in imports(path):
            top = module.split(".")[0]
            assert top not in ("hw", "golden", "sim", "tests", "benchmarks"), f"{path}: {module}"
            if top == INSTALLED and module != INSTALLED:
                assert inside(module, MAY_IMPORT[room]), f"{path} imports {module}"
            assert top not in NEVER[room], f"{path} imports {module}"


def test_every_package_is_installed_inside_the_namespace():
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert setuptools["package-dir"] == FOLDERS
    found = {
        f"{prefix}{folder.relative_to(ROOT).as_posix().replace('/', '.')}"
        for prefix, top in (("", "ecoformer"), *(("ecoformer.", top) for top in FOLDERS.values()))
        for folder in (init.parent for init in (ROOT / top).rglob("__init__.py"))
    }
    assert found == set(setuptools["packages"])


def test_every_folder_says_what_lives_there():
    for package in ("ecoformer", *FOLDERS.values()):
        for init in (ROOT / package).rglob("__init__.py"):
            assert ast.get_docstring(ast.parse(init.read_text())), f"{init} says nothing"


def test_generate_simulate_and_verify_run_without_torch():
    program = """
import sys
sys.modules["torch"] = None
import ecoformer.cli, ecoformer.cli.generate, ecoformer.cli.simulate, ecoformer.cli.verify
import ecoformer.hw.emit.verilog, ecoformer.hw.emit.manifest
import ecoformer.sim.simulate, ecoformer.sim.verify, ecoformer.sim.testbench.write
import ecoformer.golden.integer.attention
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
