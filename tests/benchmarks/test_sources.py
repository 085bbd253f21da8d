# SPDX-License-Identifier: Apache-2.0
import pytest

from benchmarks.results.sources import changes, closure, dependencies, file_digest, module_digest

MODULE = '''"""What it is."""
import sys
from os import path

__all__ = ["A", "f"]

A = 1
"""A number."""


class C:
    x: int = 1

    def g(self, y: int) -> int:
        """Adds."""
        if y < 0:
            raise ValueError(f"no {y}")
        return y + A  # here


def f(parser):
    parser.add_argument("--n", help="so many", default=3)
'''


def digest(tmp_path, text):
    (tmp_path / "m.py").write_text(text)
    return module_digest(tmp_path / "m.py")


@pytest.mark.parametrize(
    "before, after",
    [
        ('"""What it is."""', '"""Something else."""'),
        ("import sys\n", ""),
        ("from os import path\n", ""),
        ('["A", "f"]', '["f"]'),
        ('"""A number."""', ""),
        ('        """Adds."""\n', ""),
        ("(self, y: int) -> int", "(self, y)"),
        ("  # here", "  # there"),
        ('f"no {y}"', '"Negative"'),
        ('help="so many", ', ""),
        ("y + A", "(y +\n            A)"),
    ],
)
def test_what_only_readers_see_does_not_count(tmp_path, before, after):
    assert before in MODULE
    assert digest(tmp_path, MODULE) == digest(tmp_path, MODULE.replace(before, after))


def test_the_order_of_definitions_does_not_count(tmp_path):
    assert digest(tmp_path, "A = 1\nB = 2\n") == digest(tmp_path, "B = 2\nA = 1\n")


@pytest.mark.parametrize(
    "before, after",
    [
        ("A = 1", "A = 2"),
        ("y + A", "y - A"),
        ("default=3", "default=4"),
        ("raise ValueError", "raise TypeError"),
        ("x: int = 1", "x: float = 1"),
        ("y < 0", "y < 1"),
    ],
)
def test_what_can_change_a_figure_counts(tmp_path, before, after):
    assert before in MODULE
    assert digest(tmp_path, MODULE) != digest(tmp_path, MODULE.replace(before, after))


def test_data_files_count_without_comments(tmp_path):
    toml, cpp = tmp_path / "a.toml", tmp_path / "a.cpp"
    toml.write_text("# one\na = 1\nb = 2\n")
    cpp.write_text("int a; // one\n/* two\n */ int b;\n")
    before = file_digest(toml), file_digest(cpp)
    toml.write_text("b = 2\na = 1\n")
    cpp.write_text("int a;\nint b;\n")
    assert before == (file_digest(toml), file_digest(cpp))
    toml.write_text("b = 2\na = 2\n")
    cpp.write_text("int a;\nint c;\n")
    assert before[0] != file_digest(toml) and before[1] != file_digest(cpp)
    assert file_digest(tmp_path / "gone.toml") is None
    numbers = tmp_path / "n.safetensors"
    numbers.write_bytes(b"\xf0\x00")
    before = file_digest(numbers)
    numbers.write_bytes(b"\xf0\x01")
    assert before != file_digest(numbers)


def test_imports_are_followed_through_functions_and_relative_names(checkout):
    checkout.write("benchmarks/speed.py", "def main():\n    from ecoformer.hw import lane\n")
    checkout.write("hw/lane.py", "import numpy\nfrom . import cell\nfrom .deep.er import x\n")
    checkout.write("hw/cell.py", "from benchmarks.status import y\n")
    checkout.write("hw/deep/er.py", "from ..cell import z\n")
    assert closure(checkout.root, ["benchmarks.speed"]) == {
        "benchmarks.speed", "ecoformer.hw", "ecoformer.hw.lane", "ecoformer.hw.cell",
        "ecoformer.hw.deep.er",
    } - {"ecoformer.hw"}


def test_simulators_depend_on_the_whole_of_the_simulation(checkout):
    checkout.write("benchmarks/speed.py", "import ecoformer.sim.rtl\n")
    for path in ("rtl.py", "testbench.py", "__init__.py", "harness.cpp", "cells/a.v", "notes.md"):
        checkout.write(f"ecoformer/sim/{path}", "")
    found = dependencies(checkout.root, ["benchmarks.speed"])
    assert list(found["modules"]) == [
        "benchmarks.speed", "ecoformer.sim.rtl", "ecoformer.sim.testbench"
    ]
    assert list(found["files"]) == ["ecoformer/sim/cells/a.v", "ecoformer/sim/harness.cpp"]


def test_verilog_stands_for_the_code_that_describes_engines(checkout):
    checkout.write("benchmarks/speed.py", "import ecoformer.hw.lane, ecoformer.hw.synth.flow\n")
    checkout.write("hw/synth/flow.py", "")
    found = dependencies(checkout.root, ["benchmarks.speed"], ["preset k16"])
    assert list(found["modules"]) == ["benchmarks.speed", "ecoformer.hw.synth.flow"]
    assert found["engines"] == {"preset k16": "aa"}


def test_changes_are_named_and_renamed_modules_are_none():
    before = {
        "modules": {"a": "1", "b": "2", "c": "3"}, "files": {"x": "1"}, "engines": {"preset k": "1"}
    }
    now = {
        "modules": {"a": "9", "renamed": "2", "d": "4"}, "files": {"x": "2"},
        "engines": {"preset k": "2"},
    }
    assert changes(before, before) == []
    assert changes(before, now) == [
        "Verilog of k changed", "a changed", "c is gone", "d is new", "x changed"
    ]
