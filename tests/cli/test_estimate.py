# SPDX-License-Identifier: Apache-2.0
import json
import re

import pytest

from ecoformer.cli import main
from ecoformer.spec.config import Config
from ecoformer.spec.network.load import load_design

CHIP, CHARACTERS = (f"examples/{name}/network.toml" for name in ("chip", "characters"))

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


def test_a_whole_network_is_estimated_layer_by_layer(tmp_path, capsys):
    out = tmp_path / "figures.json"
    assert run("--network", "-c", CHIP, "--clock", "80", "--json", out) == 0
    figures = json.loads(out.read_text())
    assert (figures["dsp"], figures["folding"], figures["packet"]) == (151, 1_024, "image")
    assert round(figures["packets_per_second"]) == 1_594
    assert figures["fingerprint"] == load_design(CHIP).fingerprint
    shown = capsys.readouterr().out
    assert f"{figures['cells']:,} of 83,640" in shown and "1,594 at 80 MHz" in shown
    assert re.search("cycles per image +│ 50,176 ", shown)
    for layer in figures["layers"]:
        assert layer["name"] in shown and f"{layer['cells']:,}" in shown
    assert "blocks.3.attention" in shown


def test_a_fitted_network_can_be_generated_from(tmp_path, capsys):
    file, out = tmp_path / "network.toml", tmp_path / "figures.json"
    assert run("--network", "-c", CHARACTERS, "--fit", "25k", "--output", file, "--json", out) == 0
    fitted, figures = load_design(file), json.loads(out.read_text())
    assert fitted.cycles_per_token == figures["folding"] > 32  # there are too few multipliers
    assert figures["dsp"] <= 28 and figures["device"] == "25k"
    assert fitted.alphabet == load_design(CHARACTERS).alphabet
    shown = capsys.readouterr().out
    assert "LFE5U-25F" in shown and "tokens per second" in shown and str(file) in shown


@pytest.mark.parametrize(
    "arguments, why",
    [
        (("-c", "softmax", "--fit", "12k"), "LFE5U-12F: too small for any cycles_per_token"),
        (("-c", "demo", "--fit", "up5k"), "--fit must be '85k' or '45k' or '25k' or '12k', not"),
        (("-c", "demo", "--output", "fitted.txt"), "fitted.txt"),
        (("-c", "demo", "--clock", "0"), "--clock must be 1"),
        (("-c", "demo", "--network"), "[network] is a network to be trained, not yet one"),
        (("-c", "missing.toml", "--network"), "missing.toml: cannot read the configuration"),
        (("-c", "chip.toml", "--network", "--fit", "12k"), "LFE5U-12F: too small for any"),
    ],
)
def test_impossible_requests_are_one_line_and_exit_2(tmp_path, monkeypatch, capsys, arguments, why):
    (tmp_path / "chip.toml").write_text(load_design(CHIP).as_toml())
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    err = capsys.readouterr().err
    assert why in err and len(err.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["chip.toml"]
