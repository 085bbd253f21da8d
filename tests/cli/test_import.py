# SPDX-License-Identifier: Apache-2.0
"""From a checkpoint in the released layout to a verified engine, on the command line."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from ecoformer.cli import main
from ecoformer.golden.attention_config import RELEASED
from ecoformer.golden.networks.images import synthetic_images
from ecoformer.golden.networks.pyramid import make_pyramid
from ecoformer.golden.networks.pyramid_config import SOFTMAX, PyramidConfig
from ecoformer.golden.networks.pyramid_file import load_pyramid
from ecoformer.golden.networks.released import load_released, save_released
from ecoformer.golden.recording import observed
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.workload import Workload

SMALL = PyramidConfig(
    widths=(4, 8, 8, 16), depths=(1, 1, 1, 1), heads=(1, 2, 2, 4), mlp_ratios=(1, 1, 1, 1),
    classes=5,
)


def ecoformer(*arguments):
    """Exit code of a command."""
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return end.value.code


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    model = make_pyramid(SMALL, replace(RELEASED, code_bits=5, anchors=7)).eval()
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.1 * torch.randn_like(parameter)
    cores = {core.layer: core for core in model.cores}

    def centre(layer, q, k, v, key_mask):
        cores[layer].hash.calibrate(k)

    with torch.no_grad(), observed(model.cores, centre):
        model(model.pixels(synthetic_images(2, 64)))
    path = tmp_path_factory.mktemp("released") / "small.pth"
    save_released(model, path)
    return path


def test_a_checkpoint_becomes_a_network_and_an_engine(checkpoint, tmp_path, capsys):
    out = tmp_path / "imported"
    np.savez(tmp_path / "images.npz", images=synthetic_images(3, 64).numpy())
    assert ecoformer("import", checkpoint, "-d", tmp_path / "images.npz", "-o", out) == 0
    table = capsys.readouterr().out
    assert "3 images of" in table and "sets 1 to 2: bits flipped by freezing σ" in table
    figures = json.loads((out / "import.json").read_text())
    assert [layer["tokens"] for layer in figures["layers"]] == [256, 64, 16]
    assert [layer["sets"] for layer in figures["layers"]] == [[0, 0], [1, 2], [3, 4]]
    assert figures["logits"]["cosine"] > 0.9
    for layer in figures["layers"]:
        assert layer["integers"] < 0.05 and layer["bandwidth"] < 0.2
    assert sum(layer["integers"] for layer in figures["layers"]) > 0

    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(load_pyramid(out / "network.pt")(x), load_released(checkpoint)(x))
    config = Config.load(out / "engine.toml")
    assert (config.value_term, config.code_bits, config.anchors) == ("own", 5, 7)
    assert (config.head_dim, config.max_tokens, config.parameter_sets) == (4, 256, 5)
    image = ParameterImage.load(out / "parameters.safetensors", config)
    assert image.sets == 5 and (image.offset == 6).all()
    workload = Workload.load(out / "workload.npz", config)
    assert workload.lengths.tolist() == [256, 64, 64, 16, 16]
    assert workload.sets.tolist() == [0, 1, 2, 3, 4]


def test_what_is_imported_is_generated_and_verified(checkpoint, tmp_path, builds):
    out = tmp_path / "imported"
    assert ecoformer("import", checkpoint, "-o", out, "--image-size", 32) == 0
    inputs = ("-p", out / "parameters.safetensors", "-w", out / "workload.npz")
    design = tmp_path / "engine"
    assert ecoformer("generate", "-c", out / "engine.toml", *inputs, "-o", design) == 0
    verify = ("verify", design, "--quick", "--build-dir", builds)
    assert ecoformer(*verify, "--json", tmp_path / "verified.json") == 0
    report = json.loads((tmp_path / "verified.json").read_text())
    assert report["ok"] and report["words"] == 4 * (64 + 2 * 16 + 2 * 4)


def test_what_cannot_be_imported_is_refused_in_a_line(checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.savez("grey.npz", images=np.zeros((2, 8, 8), np.uint8))
    (tmp_path / "other.pth").write_bytes(b"text")
    for arguments, words in (
        (("gone.pth",), "gone.pth: no such file; give a checkpoint"),
        (("other.pth",), "other.pth: not a file of tensors"),
        ((checkpoint, "-d", "gone.npz"), "gone.npz: no such file"),
        ((checkpoint, "-d", "grey.npz"), "grey.npz: images must be uint8 [n, 3, height, width]"),
        ((checkpoint, "--image-size", 100), "--image-size must be a multiple of 32, not 100"),
        ((checkpoint, "-d", "grey.npz", "--image-size", 64), "--image-size: of synthetic images"),
    ):
        assert ecoformer("import", *arguments, "-o", "imported") == 2
        out, err = capsys.readouterr()
        assert out == "" and err.startswith("ecoformer: ") and err.count("\n") == 1
        assert words in err
    assert not (tmp_path / "imported").exists()


def test_a_network_without_ecoformer_attention_is_refused(tmp_path, capsys):
    wide = replace(SMALL, widths=(32, 64, 160, 256), heads=(1, 2, 5, 8), attention=SOFTMAX)
    save_released(make_pyramid(wide), tmp_path / "softmax.pth")
    assert ecoformer("import", tmp_path / "softmax.pth", "-o", tmp_path / "imported") == 2
    assert "softmax attention in every stage; nothing of it runs" in capsys.readouterr().err


def test_synthetic_images_are_seeded_and_varied():
    images = synthetic_images(3, 32, seed=1)
    assert torch.equal(images, synthetic_images(3, 32, seed=1))
    assert not torch.equal(images, synthetic_images(3, 32, seed=2))
    assert images.shape == (3, 3, 32, 32) and images.dtype == torch.uint8
    assert images.double().std((2, 3)).min() > 30
