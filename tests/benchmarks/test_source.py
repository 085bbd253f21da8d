# SPDX-License-Identifier: Apache-2.0
import pytest

from benchmarks.mutation.apart import apart
from benchmarks.mutation.source import PASSED, Mutant, draw, import_instead, passes, watched

MODULE = """\
def area(width: int | None, height: int = 2) -> int | None:
    if width is None:
        return None
    return width * height
"""
TEST = """\
from sizes.area import area


def test_area():
    assert area(3) == 6
    assert area(2, 5) == 10
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A package and its test; the test alone does not notice everything."""
    (tmp_path / "sizes").mkdir()
    (tmp_path / "sizes" / "__init__.py").write_text("")
    (tmp_path / "sizes" / "area.py").write_text(MODULE)
    (tmp_path / "test_area.py").write_text(TEST)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def mutant(project, before, after):
    return Mutant(
        number=1, module="sizes.area", path=project / "sizes" / "area.py", line=1, operator="",
        before=before, after=after, text=MODULE.replace(before, after),
    )


def judge(project, fault=None):
    def work():
        if fault:
            import_instead(fault)
        return passes([str(project), "-p", "no:xdist", "--rootdir", str(project)])

    return apart(work, 60)


@pytest.mark.slow
def test_tests_run_with_the_changed_text_and_name_the_first_that_fails(project):
    assert judge(project) == PASSED
    wrong = mutant(project, "width * height", "width + height")
    assert judge(project, wrong).endswith("test_area")
    assert judge(project, mutant(project, "return None", "return 0")) == PASSED
    assert "test_area.py" in judge(project, mutant(project, "def area", "def volume"))
    assert (project / "sizes" / "area.py").read_text() == MODULE


def test_every_place_but_types_gets_a_fault(project):
    pytest.importorskip("cosmic_ray", reason="'make bench-python-mutants' installs Cosmic Ray")
    mutants = draw(watched(project, {"sizes": "sizes"}), seed=0)
    assert {found.module for found in mutants} == {"sizes.area"}
    assert [found.line for found in mutants] == [1, 2, 2, 4], "none of the types"
    assert all(found.text != MODULE for found in mutants)
    found = "\n".join(map(str, mutants))
    assert "height: int = 3" in found or "height: int = 1" in found
    assert "is not None" in found
