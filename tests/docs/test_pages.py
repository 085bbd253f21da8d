# SPDX-License-Identifier: Apache-2.0
"""What the pages show: commands exist, configurations load, code runs, pins have their names."""

import importlib
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer

from ecoformer.cli import make_app
from ecoformer.cli.generate import generate
from ecoformer.golden.networks.network import read_network
from ecoformer.sim.stimulus import random_image
from ecoformer.spec.config_file import read_table
from ecoformer.spec.network.decoder import DecoderDesign
from ecoformer.spec.network.load import load_design

ROOT = Path(__file__).parents[2]
EXAMPLES, GENERATORS = ROOT / "examples", ROOT / "docs" / "_generators"
PAGES = [ROOT / "README.md", *(path for path in sorted((ROOT / "docs").rglob("*.md"))
                               if "results" not in str(path.relative_to(ROOT)))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
TABLES = {
    "engine": "ecoformer.spec.config:Config",
    "training": "ecoformer.golden.learn.train:TrainingConfig",
}

def blocks(language):
    """Blocks of one language: (page and number, text)."""
    return [
        pytest.param(match[2], id=f"{page.relative_to(ROOT)}-{number}")
        for page in PAGES
        for number, match in enumerate(BLOCK.finditer(page.read_text()))
        if match[1] == language
    ]


def commands():
    """Every line of a page that calls ecoformer."""
    line = re.compile(r"^(?:    |\$ )(ecoformer .*)$", re.MULTILINE)
    found = {call for page in PAGES for call in line.findall(page.read_text())}
    return sorted(found)


def load(folder, name):
    """A module that is in no package."""
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """The engine of an example as 'generate' writes it, with the default pins."""
    folder = tmp_path_factory.mktemp("pages")
    config = load(EXAMPLES, "call_engine").CONFIG
    (folder / "config.toml").write_text(config.as_toml())
    random_image(config, np.random.default_rng(0)).save(folder / "parameters", config)
    generate(folder / "config.toml", folder / "parameters", folder / "engine")
    return folder / "engine"


@pytest.mark.parametrize("call", commands())
def test_commands_exist(call):
    verb, *arguments = shlex.split(call)[1:]
    app = typer.main.get_command(make_app())
    if verb.startswith("-"):
        return
    app.commands[verb].make_context(verb, arguments)


@pytest.mark.parametrize("text", blocks("toml"))
def test_configurations_load(text, tmp_path):
    path = tmp_path / "page.toml"
    path.write_text(text)
    for table, cls in TABLES.items():
        module, name = cls.split(":")
        read_table(path, table, getattr(importlib.import_module(module), name))
    read_network(path)
    if "[decoder]" in text:
        assert isinstance(load_design(path), DecoderDesign)


@pytest.mark.parametrize("text", blocks("python"))
def test_code_runs(text, engine, builds, tmp_path):
    shutil.copytree(engine, tmp_path / "engine", ignore=shutil.ignore_patterns("build"))
    builds.mkdir(parents=True, exist_ok=True)
    (tmp_path / "engine" / "build").symlink_to(builds)
    done = subprocess.run([sys.executable, "-W", "error", "-c", text], cwd=tmp_path,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_instance_has_every_pin(engine):
    text, = (block.values[0] for block in blocks("verilog"))
    pins = {pin["name"] for pin in json.loads((engine / "manifest.json").read_text())["pins"]}
    assert set(re.findall(r"\.(\w+)\(", text)) == pins


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_c_compiles(engine, tmp_path):
    for number, block in enumerate(blocks("c")):
        path = tmp_path / f"page{number}.c"
        path.write_text(block.values[0])
        subprocess.run(["g++", "-x", "c", "-std=c99", "-Wall", "-Wextra", "-Werror",
                        "-fsyntax-only", f"-I{engine / 'include'}", path], check=True)


@pytest.mark.parametrize("name", ["call_engine", "embed_engine"])
def test_examples_run(name, builds):
    example = load(EXAMPLES, name)
    if name == "call_engine":
        example.main(builds)
    else:
        assert "module \\design" in example.main()


def test_the_picture_of_the_readme_is_the_one_that_the_site_draws():
    svg, diagrams = load(GENERATORS, "svg"), load(GENERATORS, "diagrams")
    assert diagrams.OVERVIEW.read_text() == diagrams.overview().render(svg.STYLE)


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"],
        cwd=ROOT, capture_output=True, text=True, env={"NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    loaded = re.compile(r'<(?:script|img|link|iframe)[^>]*(?:src|href)="(?:https?:)?//')
    assert not [page for page in pages if loaded.search(page.read_text())]
