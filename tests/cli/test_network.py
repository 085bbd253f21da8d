# SPDX-License-Identifier: Apache-2.0
"""Whole networks on the command line: generate --network, then the verbs that know its folder."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from ecoformer.cli import main
from ecoformer.cli.network.folder import NetworkFolder
from ecoformer.driver.export import driver_files
from ecoformer.sim.network.stimulus import random_image, random_pixels
from ecoformer.spec.network.design import NetworkDesign
from ecoformer.spec.network.image import NetworkImage
from ecoformer.spec.network.packet import parameter_packet
from ecoformer.spec.network.pixels import load_images, save_images
from tests.sim.network.broken import broken
from tests.sim.network.designs import DESIGNS, TINY

NAME = "ecoformer_network"
FILES = {
    f"rtl/{NAME}.v", f"lint/{NAME}.vlt", f"tb/tb_{NAME}.v", "manifest.json", "network.toml",
    "network.safetensors", "vectors/images.npz", "vectors/images.hex", "vectors/expected.hex",
    *(f"driver/{file}" for file in driver_files()),
}


def ecoformer(*arguments):
    """Exit code of a command."""
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return end.value.code


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """What 'export --network' leaves, of random numbers, and images."""
    folder = tmp_path_factory.mktemp("exported")
    (folder / "network.toml").write_text(TINY.as_toml())
    random_image(TINY, 5).save(folder / "network.safetensors", TINY)
    save_images(folder / "images.npz", random_pixels(TINY, 6, 5))
    return folder


def generate(exported, chip, *more):
    return ecoformer(
        "generate", "--network", "-c", exported / "network.toml", "-p",
        exported / "network.safetensors", "-w", exported / "images.npz", "-o", chip, *more,
    )


@pytest.fixture(scope="module")
def generated(exported, tmp_path_factory):
    chip = tmp_path_factory.mktemp("generated") / "chip"
    assert generate(exported, chip, "--json", chip.parent / "g.json") == 0
    return chip


@pytest.fixture
def chip(generated, tmp_path, monkeypatch, builds):
    """A copy, which is built where all tests build."""
    monkeypatch.setattr(NetworkFolder, "build_dir", builds)
    shutil.copytree(generated, tmp_path / "chip")
    return tmp_path / "chip"


def test_generate_writes_everything(exported, generated):
    assert {*contents(generated)} == FILES
    assert NetworkDesign.load(generated / "network.toml") == TINY
    image = NetworkImage.load(generated / "network.safetensors", TINY)
    assert np.array_equal(image.arrays["positions"], random_image(TINY, 5).arrays["positions"])
    pixels = load_images(generated / "vectors" / "images.npz", TINY)
    assert np.array_equal(pixels, random_pixels(TINY, 6, 5))
    figures = json.loads((generated.parent / "g.json").read_text())
    assert {*figures["files"]} == FILES and figures["images"] == 5
    assert figures["parameters"]["source"] == "file"


def test_the_manifest_describes_the_network(generated):
    facts = json.loads((generated / "manifest.json").read_text())
    assert facts["kind"] == "network" and facts["name"] == NAME
    assert facts["cycles"] == {"configured_per_token": 16, "per_token": 16, "per_image": 64}
    assert facts["fingerprint"] == TINY.fingerprint
    assert facts["bits_fingerprint"] == TINY.bits_fingerprint
    pins = {pin["name"]: pin for pin in facts["pins"]}
    assert pins["s_axis_tdata"] == {"name": "s_axis_tdata", "direction": "in", "width": 8}
    assert pins["m_axis_tuser"]["direction"] == "out"
    assert facts["streams"]["s_axis"]["beats"] == 4
    assert {*facts["files"]} == FILES - {"manifest.json"}


def test_a_loadable_network_comes_with_a_parameter_packet(exported, tmp_path, builds, monkeypatch):
    monkeypatch.setattr(NetworkFolder, "build_dir", builds)
    design, chip = replace(TINY, loadable=True), tmp_path / "chip"
    (tmp_path / "network.toml").write_text(design.as_toml())
    arguments = ("-p", exported / "network.safetensors", "-o", chip)
    assert ecoformer("generate", "--network", "-c", tmp_path / "network.toml", *arguments) == 0
    more = {"parameters.bin", "vectors/parameters.hex", "vectors/loaded.hex"}
    assert {*contents(chip)} == FILES | more
    packet = (chip / "parameters.bin").read_bytes()
    assert packet == parameter_packet(design, random_image(TINY, 5))
    assert ecoformer("verify", chip, "--phase", "loads", "--json", tmp_path / "v.json") == 0
    assert json.loads((tmp_path / "v.json").read_text())["loads"] > 20
    assert ecoformer("simulate", chip) == 0
    # The same folder for a network that loads nothing.
    assert ecoformer("generate", "--network", "-c", exported / "network.toml", *arguments) == 0
    assert {*contents(chip)} == FILES
    assert ecoformer("verify", chip, "--phase", "loads") == 2


def test_the_same_seed_generates_the_same_bytes(exported, tmp_path, capsys):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        arguments = ("-c", exported / "network.toml", "-o", tmp_path / name, "--seed", seed)
        assert ecoformer("generate", "--network", *arguments, "--name", "chip") == 0
    first, second, third = (contents(tmp_path / name) for name in "abc")
    assert first == second
    assert first["rtl/chip.v"] != third["rtl/chip.v"]
    assert b"module chip(" in first["rtl/chip.v"]
    out = capsys.readouterr().out
    assert "random, seed 3: for trials, not learned" in out and "blocks.0.attention" in out


def test_an_engine_takes_the_place_of_a_network(exported, generated, tmp_path, capsys):
    """The folder is the verb's: what belongs to the other kind goes, a user's file stays."""
    shutil.copytree(generated, tmp_path / "chip")
    (tmp_path / "chip" / "notes.txt").write_text("mine")
    assert ecoformer("generate", "-c", "smallest", "-o", tmp_path / "chip") == 0
    names = {*contents(tmp_path / "chip")}
    assert "config.toml" in names and "notes.txt" in names
    assert not names & {f"rtl/{NAME}.v", "network.toml", "vectors/images.npz"}


@pytest.mark.parametrize("change, why", [
    (("-w", "missing.npz"), "missing.npz: no such images"),
    (("-w", "workload.npz"), "workload.npz: must hold one array, images, not sets"),
    (("-w", "large.npz"), "images must be uint8 [n, 1, 2, 2] for this network, n ≥ 1, not"),
    (("-w", "floats.npz"), "not float64 [2, 1, 2, 2]"),
    (("-w", "text.npz"), "text.npz: damaged images"),
    (("-p", "other.safetensors"), "other.safetensors: "),
    (("--name", "module"), "--name: "),
    (("-c", "demo"), "chip"),
])
def test_bad_input_is_refused_before_any_work(exported, change, why, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("workload.npz", sets=np.zeros(3))
    np.savez("large.npz", images=np.zeros((2, 1, 3, 3), np.uint8))
    np.savez("floats.npz", images=np.zeros((2, 1, 2, 2)))
    (tmp_path / "text.npz").write_text("images")
    other = DESIGNS["single"]
    random_image(other, 1).save("other.safetensors", other)
    options = {"-c": exported / "network.toml", "-o": "chip"} | dict([change])
    words = [word for pair in options.items() for word in pair]
    assert ecoformer("generate", "--network", *words) == 2
    err = capsys.readouterr().err
    assert why in err and err.count("\n") == 1
    assert not (tmp_path / "chip").exists()


def test_verify_passes_and_says_what_it_compared(chip, tmp_path, capsys):
    assert ecoformer("verify", chip, "--json", tmp_path / "v.json", "--seed", 2) == 0
    out = capsys.readouterr().out
    assert "bit-exact" in out and "seed 2" in out and "cycles per image, measured: 64.0" in out
    figures = json.loads((tmp_path / "v.json").read_text())
    assert figures["ok"] and figures["seed"] == 2 and figures["cycles_per_image"] == 64
    assert figures["scores"] > 100 and figures["bad"] and figures["resets"]
    phases = ["images", "extremes", "stalls", "latency", "bad", "resets", "rate"]
    assert [phase["phase"] for phase in figures["phases"]] == phases


def test_quick_verifies_the_images_of_the_folder_or_others(chip, exported, tmp_path, capsys):
    for more, images in (
        ((), 5), (("-w", exported / "images.npz"), 5), (("--random", 7), 7),
        (("--stall", "0.3"), 5),
    ):
        assert ecoformer("verify", chip, "--quick", "--json", tmp_path / "v.json", *more) == 0
        figures = json.loads((tmp_path / "v.json").read_text())
        assert [phase["phase"] for phase in figures["phases"]] == ["images"]
        assert figures["images"] == images


def test_verify_names_what_differs_and_how_to_see_it_again(chip, tmp_path, capsys):
    verilog = chip / "rtl" / f"{NAME}.v"
    verilog.write_text(broken(verilog.read_text(), "flipped weight"))
    assert ecoformer("verify", chip, "--json", tmp_path / "v.json") == 1
    out = capsys.readouterr().out
    assert "DIFFERENT" in out and "layer blocks.0.up, token 0, lane 0: element is" in out
    assert f"ecoformer verify {chip} --phase images --seed 0" in out
    (mismatch, *_) = json.loads((tmp_path / "v.json").read_text())["mismatches"]
    assert mismatch["layer"] == "blocks.0.up" and mismatch["phase"] == "images"
    assert ecoformer("verify", chip, "--phase", "images", "--seed", "0") == 1


@pytest.mark.parametrize("arguments, why", [
    (("verify", "--simulator", "icarus"), "--simulator: not for a whole network"),
    (("verify", "--random", "1000000"), "images: must be at most"),
    (("verify", "--phase", "ties"), "--phase ties: choose images, extremes, stalls"),
    (("simulate", "--simulator", "compiled", "--waves", "fst"), "compiled records no waves"),
    (("simulate", "-w", "nothing.npz"), "nothing.npz: no such images"),
])
def test_what_means_nothing_for_a_network_is_refused(arguments, why, generated, capsys):
    verb, *options = arguments
    assert ecoformer(verb, generated, *options) == 2
    err = capsys.readouterr().err
    assert why in err and err.count("\n") == 1


@pytest.mark.parametrize("verb", ["verify", "simulate", "synth"])
def test_a_damaged_folder_is_refused(verb, generated, tmp_path, capsys):
    chip = tmp_path / "chip"
    shutil.copytree(generated, chip)
    (chip / "network.toml").write_text("changed")
    assert ecoformer(verb, chip) == 2
    assert "network.toml: changed since it was written" in capsys.readouterr().err
    shutil.copytree(generated, chip, dirs_exist_ok=True)
    (chip / "network.safetensors").unlink()
    assert ecoformer(verb, chip) == 2
    err = capsys.readouterr().err
    assert "network.safetensors: missing; run 'ecoformer generate --network' again" in err


def test_simulate_shows_every_layer(chip, tmp_path, capsys):
    assert ecoformer("simulate", chip, "--json", tmp_path / "s.json") == 0
    out = capsys.readouterr().out
    assert "blocks.0.attention" in out and "cycles per image, measured" in out
    figures = json.loads((tmp_path / "s.json").read_text())
    assert figures["cycles_per_image"] == figures["published_cycles_per_image"] == 64
    assert figures["layers"]["blocks.0.down"]["steady_useful"] == 1


@pytest.mark.synth
def test_synth_shows_the_cells_of_every_layer_and_simulates_them(chip, tmp_path, capsys):
    figures = tmp_path / "s.json"
    compiled = "--verify", "--simulator", "compiled"  # Icarus takes minutes for so many cells
    assert ecoformer("synth", chip, "--no-place", *compiled, "--json", figures) == 0
    out = capsys.readouterr().out
    assert "bit-exact" in out
    for unit in ("stem", "block_0", "vectors", "heads", "classifier"):
        assert unit in out, unit
    figures = json.loads(figures.read_text())
    found = figures["verification"]
    assert found["ok"] and found["images"] == 2 and found["words"] == 2 * TINY.classes
    assert figures["design"] == NAME and figures["fingerprint"] == TINY.fingerprint
    paths = {unit["path"]: unit for unit in figures["units"]}
    assert paths["network.block_0.up"]["LUT"] > 0
