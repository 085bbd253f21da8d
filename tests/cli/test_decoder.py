# SPDX-License-Identifier: Apache-2.0
"""Decoders on the command line: generate --network, then the verbs that know its folder."""

import json
import shutil

import numpy as np
import pytest

from ecoformer.cli import main
from ecoformer.cli.network.folder import NetworkFolder
from ecoformer.driver.export import driver_files
from ecoformer.sim.network.stimulus import random_image
from ecoformer.spec.network.load import load_design
from ecoformer.spec.network.tape import Tape
from tests.sim.network.decoders import TINY_DECODER

NAME = "ecoformer_network"
FILES = {
    f"rtl/{NAME}.v", f"lint/{NAME}.vlt", f"tb/tb_{NAME}.v", "manifest.json", "network.toml",
    "network.safetensors", "vectors/tokens.npz", "vectors/tokens.hex", "vectors/expected.hex",
    *(f"driver/{file}" for file in driver_files()),
}


def ecoformer(*arguments):
    """Exit code of a command."""
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return end.value.code


@pytest.fixture(scope="module")
def chip(tmp_path_factory, builds):
    folder = tmp_path_factory.mktemp("decoder")
    (folder / "network.toml").write_text(TINY_DECODER.as_toml())
    random_image(TINY_DECODER, 5).save(folder / "network.safetensors", TINY_DECODER)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(NetworkFolder, "build_dir", builds)
        assert ecoformer(
            "generate", "--network", "-c", folder / "network.toml", "-p",
            folder / "network.safetensors", "-o", folder / "chip", "--json", folder / "g.json",
        ) == 0
        yield folder / "chip"


def test_generate_writes_everything(chip):
    found = {str(path.relative_to(chip)) for path in chip.rglob("*") if path.is_file()}
    assert found == FILES
    figures = json.loads((chip.parent / "g.json").read_text())
    assert {*figures["files"]} == FILES and figures["tokens"] == 64
    assert load_design(chip / "network.toml") == TINY_DECODER
    assert len(Tape.load(chip / "vectors" / "tokens.npz", TINY_DECODER)) == 64


def test_verify_compares_everything(chip, tmp_path, capsys):
    assert ecoformer("verify", chip, "--json", tmp_path / "v.json") == 0
    figures = json.loads((tmp_path / "v.json").read_text())
    assert figures["ok"] and figures["bad"] and figures["cycles_per_image"] == 16
    phases = [phase["phase"] for phase in figures["phases"]]
    assert phases == ["texts", "extremes", "stalls", "latency", "bad", "resets", "rate"]
    out = capsys.readouterr().out
    assert "bit-exact" in out and "tokens" in out and "cycles per token, measured: 16.0" in out


def test_own_tokens_are_played_and_wrong_ones_refused(chip, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tape = Tape(np.array([1, 4, 0]), np.array([2, 2, 1]), np.array([True, False, True]))
    tape.save("own.npz")
    assert ecoformer("verify", chip, "--quick", "-w", "own.npz", "--json", "v.json") == 0
    assert json.loads((tmp_path / "v.json").read_text())["images"] == 3
    np.savez("large.npz", tokens=[256], contexts=[0], begins=[True])
    np.savez("short.npz", tokens=[1, 1], contexts=[0], begins=[True])
    np.savez("other.npz", images=[1])
    (tmp_path / "text.npz").write_text("tokens")
    for file, rule in {
        "large.npz": "large.npz: tokens must be integers 0…255 for this network",
        "short.npz": "short.npz: tokens must be integers 0…255 for this network, as many as the",
        "other.npz": "other.npz: must hold the arrays tokens, contexts, begins, not images",
        "text.npz": "text.npz: damaged tokens",
        "none.npz": "none.npz: no such tokens",
    }.items():
        assert ecoformer("verify", chip, "-w", file) == 2
        assert rule in capsys.readouterr().err, file


def test_a_fault_is_reported_with_what_plays_it_again(chip, tmp_path, capsys):
    shutil.copytree(chip, tmp_path / "chip")
    path = tmp_path / "chip" / "rtl" / f"{NAME}.v"
    text = path.read_text()
    changed = text.replace("assign m_axis_tid = ", "assign m_axis_tid = 2'd1 ^ ")
    assert changed != text
    path.write_text(changed)
    assert ecoformer("verify", tmp_path / "chip", "--phase", "texts") == 1
    out = capsys.readouterr().out
    assert "DIFFERENT" in out and "image 0: tid is " in out
    assert f"ecoformer verify {tmp_path / 'chip'} --phase texts --seed 0" in out


def test_simulate_shows_rate_latency_and_lanes(chip, tmp_path, capsys):
    assert ecoformer("simulate", chip, "--json", tmp_path / "s.json") == 0
    figures = json.loads((tmp_path / "s.json").read_text())
    assert figures["cycles_per_image"] == figures["published_cycles_per_image"] == 16
    assert "cycles from a token to the last beat of its answer" in capsys.readouterr().out


def test_a_board_holds_a_decoder_with_its_parameters(chip, tmp_path):
    pytest.importorskip("amaranth_boards", reason="pip install 'ecoformer[boards]'")
    files = ("-c", chip / "network.toml", "-p", chip / "network.safetensors")
    assert ecoformer("board", "ulx3s", "--network", *files, "-o", tmp_path, "--no-build") == 0
    (path,) = (tmp_path / "network" / "rtl").glob("*.v")
    assert path.read_text() == (chip / "rtl" / path.name).read_text()
    assert (tmp_path / "board.v").read_text().endswith(path.read_text())


@pytest.mark.parametrize("changes, rule", [
    ({"hidden": "hidden = 900"}, "cycles_per_token must be at least 225 for this network"),
    ({"vocabulary": "vocabulary = 1"}, "[decoder] vocabulary must be 2…65536, not 1"),
    ({"positions": "position = 3"}, "unknown key in [decoder]: position"),
])
def test_what_no_decoder_can_be_is_refused_with_the_rule(changes, rule, tmp_path, capsys):
    lines = TINY_DECODER.as_toml().splitlines()
    lines = [next((new for name, new in changes.items() if line.startswith(f"{name} =")), line)
             for line in lines]
    (tmp_path / "network.toml").write_text("\n".join(lines))
    arguments = ("-c", tmp_path / "network.toml", "-o", tmp_path / "chip")
    assert ecoformer("generate", "--network", *arguments) == 2
    err = capsys.readouterr().err
    assert rule in err and err.count("\n") == 1
