# SPDX-License-Identifier: Apache-2.0
import pytest

from tests.branches import PACKAGES, branches

LIMIT = 20
"""Branches on modes outside their owners, at most; to be lowered, never raised."""


def lines(tmp_path, text, path="hw/unit.py"):
    for package in PACKAGES:
        (tmp_path / package).mkdir(exist_ok=True)
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text(text)
    return [branch.line for branch in branches(tmp_path)]


def test_modes_are_classes_not_branches():
    found = list(branches())
    assert len(found) <= LIMIT, "\n".join(map(str, found))


def test_specification_integer_model_and_simulation_have_none():
    rooms = ("ecoformer/spec/", "golden/integer/", "sim/")
    assert not [branch for branch in branches() if branch.path.startswith(rooms)]


@pytest.mark.parametrize(
    "text",
    [
        "if config.is_serial:\n    pass",
        "while not self.config.hash == 'rbf':\n    pass",
        "a = 1 if c.engines > 1 else 2",
        "a = [x for x in y if config.tuser_width]",
        "with m.If(start | self.config.is_full_rate):\n    pass",
        "a = Mux(config.is_full_rate, b, c)",
        "a = text[config.tuser_width == 0]",
        "if config.folds.is_serial:\n    pass",
    ],
)
def test_a_branch_is_counted(tmp_path, text):
    assert lines(tmp_path, text) == [1]


def test_a_mode_is_followed_through_variables_and_parameters(tmp_path):
    assert lines(tmp_path, "many = config.engines > 1\nif many:\n    pass") == [2]
    assert lines(tmp_path, """
class Unit:
    def __init__(self, serial):
        self.serial = serial
        if serial:
            pass

    def build(self):
        return 1 if self.serial else 2

unit = Unit(serial=config.is_serial)
""") == [5, 9]


@pytest.mark.parametrize(
    "text",
    [
        "a = FAMILIES[config.hash]",
        "a = config.engines * 2",
        "if core.hash:\n    pass",
        "if config.max_tokens > 3:\n    pass",
        "def core(config):\n    'Doc.'\n    return A(config) if config.engines > 1 else B(config)",
    ],
)
def test_what_is_no_branch_on_a_mode_is_not_counted(tmp_path, text):
    assert lines(tmp_path, text) == []


def test_an_owner_may_branch(tmp_path):
    assert lines(tmp_path, "if config.hash:\n    pass", "ecoformer/spec/rule.py") == []
