# SPDX-License-Identifier: Apache-2.0
"""The parameters of every verb, enumerated: ranges of numbers, and targets that do no harm."""

import inspect
import math
import os
from pathlib import Path
from typing import get_args

import pytest
from typer.models import OptionInfo

from ecoformer.cli import VERBS, main
from ecoformer.cli.guard import Choice, Range, Source, TargetFile, TargetFolder, roles

PARAMETERS = [
    (verb, parameter, roles(module.command)[parameter.name])
    for verb, (module, _) in VERBS.items()
    for parameter in inspect.signature(module.command, eval_str=True).parameters.values()
]


def having(role):
    """Parameters (verb, parameter, role) of this role, for parametrize."""
    cases = [(v, p, found) for v, p, known in PARAMETERS for found in known
             if isinstance(found, role)]
    return pytest.mark.parametrize("verb, parameter, role", cases,
                                   ids=[f"{v} {p.name}" for v, p, _ in cases])


def info(parameter):
    return get_args(parameter.annotation)[1]


def flag(parameter):
    option = info(parameter)
    if not isinstance(option.default, str):
        return f"--{parameter.name}"
    return max([option.default, *option.param_decls], key=len)


def words(verb, **given):
    """Arguments of a verb: what is required, and the parameters ``given``, by name."""
    found = []
    for other, parameter, known in PARAMETERS:
        required = parameter.default is inspect.Parameter.empty
        if other != verb or not (required or parameter.name in given):
            continue
        default = "out" if any(isinstance(r, TargetFolder) for r in known) else "input.toml"
        default = next((r.words[0] for r in known if isinstance(r, Choice)), default)
        value = str(given.get(parameter.name, default))
        found += [flag(parameter), value] if isinstance(info(parameter), OptionInfo) else [value]
    return [verb, *found]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "input.toml").write_text("mine")
    (tmp_path / "folder.png").mkdir()
    for suffix in (".json", ".toml"):
        (tmp_path / f"folder{suffix}").mkdir()
    return tmp_path


def refused(folder, capsys, arguments):
    """The line of a refusal before anything was touched."""
    before = {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}
    with pytest.raises(SystemExit) as end:
        main(arguments)
    out, err = capsys.readouterr()
    assert end.value.code == 2 and out == "" and err.count("\n") == 1, err
    assert before == {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}
    return err


@pytest.mark.parametrize("verb, parameter, known", PARAMETERS,
                         ids=[f"{v} {p.name}" for v, p, _ in PARAMETERS])
def test_every_number_has_a_range_and_every_path_a_role(verb, parameter, known):
    kinds = {get_args(parameter.annotation)[0]}
    kinds |= {*get_args(get_args(parameter.annotation)[0])}
    if kinds & {int, float}:
        (found,) = known
        assert isinstance(found, Range)
        assert math.isfinite(found.low) and math.isfinite(found.high) and found.low < found.high
    if Path in kinds:
        (found,) = known
        assert isinstance(found, Source | TargetFile | TargetFolder)


@having(Range)
def test_numbers_out_of_range_are_refused(folder, capsys, verb, parameter, role):
    kind = float if isinstance(role.low, float) else int
    beyond = ["nan", "inf", "-inf", "1e400"] if kind is float else ["9" * 400, "-1"]
    for value in (role.low - 1, role.high + 1, *beyond):
        err = refused(folder, capsys, words(verb, **{parameter.name: value}))
        assert f"{flag(parameter)} must be {role.low}…{role.high}, not" in err


@having(TargetFile)
def test_files_that_cannot_be_written_are_refused_before_any_work(
    folder, capsys, monkeypatch, verb, parameter, role
):
    suffix = role.suffixes[0] if role.suffixes else ".json"
    for value, why in (
        (f"missing/file{suffix}", "its folder missing does not exist"),
        (f"folder{suffix}", "a folder, not a file"),
        (f"input.toml/x{suffix}", "does not exist"),
        *([("x.gif", f"must end in {' or '.join(role.suffixes)}")] if role.suffixes else []),
    ):
        assert why in refused(folder, capsys, words(verb, **{parameter.name: value}))
    if not role.suffixes and verb not in ("energy", "board"):  # whose input may be a name
        err = refused(folder, capsys, words(verb, **{parameter.name: "input.toml"}))
        assert f"{flag(parameter)} would replace another file of this command" in err
    monkeypatch.setattr(os, "access", lambda path, mode: mode == os.R_OK)
    err = refused(folder, capsys, words(verb, **{parameter.name: f"new{suffix}"}))
    assert "no permission to write" in err


@having(TargetFolder)
def test_folders_that_cannot_be_written_are_refused_before_any_work(
    folder, capsys, monkeypatch, verb, parameter, role
):
    err = refused(folder, capsys, words(verb, **{parameter.name: "input.toml/x"}))
    assert "input.toml: not a folder" in err
    monkeypatch.setattr(os, "access", lambda path, mode: mode == os.R_OK)
    err = refused(folder, capsys, words(verb, **{parameter.name: "new"}))
    assert "no permission to write" in err


def test_two_targets_are_two_files(folder, capsys):
    err = refused(folder, capsys, ["energy", "PVTv2-B0", "--json", "a.png", "--plot", "./a.png"])
    assert "would replace another file" in err


def test_figures_may_go_into_the_folder_that_is_made(folder, capsys):
    arguments = words("generate", json_file="out/figures.json")
    assert "input.toml: not a TOML file" in refused(folder, capsys, arguments)


def test_help_shows_the_range(capsys):
    with pytest.raises(SystemExit):
        main(["verify", "--help"])
    assert "(0.0…0.95)" in capsys.readouterr().out
