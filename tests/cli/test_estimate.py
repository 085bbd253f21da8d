# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from ecoformer.cli import main
from ecoformer.spec.config import Config


def run(*arguments):
    """Exit code of ``ecoformer estimate``."""
    with pytest.raises(SystemExit) as end:
        main(["estimate", *map(str, arguments)])
    return end.value.code


def test_the_table_and_the_json_say_the_same(tmp_path, capsys):
    out = tmp_path / "figures.json"
    assert run("-c", "demo", "--clock", "120", "--json", out) == 0
    figures = json.loads(out.read_text())
    assert (figures["dsp"], figures["folding"], figures["clock_mhz"]) == (82, 16, 120)
    assert figures["tokens_per_second"] == 7_500_000
    assert figures["fingerprint"] == Config.load("demo").fingerprint
    shown = capsys.readouterr().out
    assert f"{figures['cells']:,} of 83,640" in shown and "7,500,000 at 120 MHz" in shown
    assert "demo on LFE5U-85F, estimated" in shown


def test_a_fitted_configuration_can_be_generated_from(tmp_path, capsys):
    file, out = tmp_path / "fitted.toml", tmp_path / "figures.json"
    assert run("-c", "demo", "--fit", "25k", "--output", file, "--json", out) == 0
    fitted, figures = Config.load(file), json.loads(out.read_text())
    assert fitted.cycles_per_token == figures["folding"] > 16  # there are too few multipliers
    assert figures["dsp"] <= 28 and figures["device"] == "25k"
    assert "LFE5U-25F" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, why",
    [
        (("-c", "softmax", "--fit", "12k"), "LFE5U-12F: too small for any cycles_per_token"),
        (("-c", "demo", "--fit", "up5k"), "--fit must be '85k' or '45k' or '25k' or '12k', not"),
        (("-c", "demo", "--output", "fitted.txt"), "fitted.txt"),
        (("-c", "demo", "--clock", "0"), "--clock must be 1"),
    ],
)
def test_impossible_requests_are_one_line_and_exit_2(tmp_path, monkeypatch, capsys, arguments, why):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    err = capsys.readouterr().err
    assert why in err and len(err.strip().splitlines()) == 1 and not list(tmp_path.iterdir())
