# SPDX-License-Identifier: Apache-2.0
"""Packages of the hardware import one another in one direction only."""

import ast
from pathlib import Path

HW = Path(__file__).parents[2] / "hw"
MAY_IMPORT = {
    "lib": set(),
    "parameters": {"lib"},
    "stream": {"lib"},
    "hash": {"lib", "parameters", "stream"},
    "attention": {"lib", "stream"},
    "engine": {"lib", "parameters", "stream", "hash", "attention"},
    "network": {"lib", "parameters", "stream", "engine"},
    "emit": {"lib", "engine", "network"},
    "synth": set(),
    "boards": {"lib", "engine", "network", "emit"},
}
DEEPEST = 7


def imports(package):
    """Packages of the hardware that ``package`` imports."""
    for path in (HW / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("ecoformer.hw."):
                yield node.module.split(".")[2]


def depth(package):
    return 1 + max(map(depth, set(imports(package)) - {package}), default=0)


def test_every_package_is_known():
    assert {init.parent.name for init in HW.glob("*/__init__.py")} == set(MAY_IMPORT)


def test_imports_run_one_way():
    for package, allowed in MAY_IMPORT.items():
        assert set(imports(package)) - {package} <= allowed, package


def test_packages_are_few_floors_deep():
    assert max(map(depth, MAY_IMPORT)) <= DEEPEST
