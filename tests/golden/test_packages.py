# SPDX-License-Identifier: Apache-2.0
"""Packages of the golden model import in one direction."""

import ast
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[2] / "golden"
PREFIX = "ecoformer.golden."
MAY_IMPORT = {
    "": set(),
    "energy": {"networks"},
    "networks": {"sites"},
    "quality": set(),
    "learn": {"networks", "pictures"},
    "pictures": set(),
    "quantize": {"integer", "learn", "networks", "quality"},
    "convert": {"integer", "learn", "networks", "quality", "quantize", "sites"},
    "sites": set(),
}
"""Packages that the modules of a package may import, beside itself and the modules of golden."""


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_packages_import_one_way(package):
    packages = {path.parent.name for path in GOLDEN.glob("*/__init__.py")}
    assert packages == MAY_IMPORT.keys() - {""} | {"integer"}
    for path in (GOLDEN / package).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            module = getattr(node, "module", None) or ""
            if isinstance(node, ast.ImportFrom) and module.startswith(PREFIX):
                found = module.removeprefix(PREFIX).split(".")[0]
                allowed = MAY_IMPORT[package] | {package}
                assert found not in packages or found in allowed, f"{path} imports {module}"
