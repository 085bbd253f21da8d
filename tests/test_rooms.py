"""Imports between the rooms run one way, and what simulates needs no torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("ecoformer", "golden", "hw", "sim")
MAY_IMPORT = {
    "ecoformer": {"ecoformer"},
    "golden": {"ecoformer", "golden"},
    "golden/integer": {"ecoformer", "golden.integer"},
    "hw": {"ecoformer", "hw"},
    "sim": {"ecoformer", "hw", "sim", "golden.integer"},
}
NEVER = {
    "ecoformer": {"torch", "amaranth", "cocotb"},
    "golden": {"amaranth", "cocotb"},
    "golden/integer": {"torch", "amaranth", "cocotb"},
    "hw": {"torch", "cocotb"},
    "sim": {"torch", "amaranth"},
}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def inside(module, allowed):
    return any(module == name or module.startswith(f"{name}.") for name in allowed)


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_run_one_way(room):
    paths = sorted((ROOT / room).rglob("*.py"))
    assert paths
    for path in paths:
        for module in imports(path):
            if module.split(".")[0] in ROOMS:
                assert inside(module, MAY_IMPORT[room]), f"{path.name} imports {module}"
            assert module.split(".")[0] not in NEVER[room], f"{path.name} imports {module}"


def test_generate_simulate_and_verify_run_without_torch():
    program = """
import sys
sys.modules["torch"] = None
import ecoformer.cli, ecoformer.cli.generate, ecoformer.cli.simulate, ecoformer.cli.verify
import hw.verilog, hw.manifest, sim.simulate, sim.verify, sim.testbench, golden.integer.attention
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
