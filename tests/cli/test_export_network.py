# SPDX-License-Identifier: Apache-2.0
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.integer.network.forward import run
from ecoformer.golden.learn.data import load
from ecoformer.golden.networks.vit import NetworkConfig, VisionTransformer, save_model
from ecoformer.golden.recording import record
from ecoformer.spec.network.design import NetworkDesign
from ecoformer.spec.network.image import NetworkImage
from tests.cli.test_learn import ENGINE, NETWORK, assert_refused, ecoformer

SHAPE = NetworkConfig(patch=14, width=12, heads=2, depth=2)


def write_model(path, shape=SHAPE):
    """A random network with calibrated hashes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = VisionTransformer(shape, AttentionConfig(code_bits=5, anchors=7)).eval()
    images = load("mnist").train.images[:64]
    layers = model.attention_layers()
    for layer, (call,) in zip(layers, record(layers, lambda: model(images))):
        layer.hash.calibrate(call.k)
    save_model(model, path)
    return path


def write_config(path, chip=""):
    path.write_text(ENGINE + NETWORK + chip)
    return path


CHIP = "\n[chip]\nresidual_width = 14\ncycles_per_token = 750\n"


@pytest.mark.slow
def test_a_whole_network_is_exported(tmp_path):
    model, out = write_model(tmp_path / "m.pt"), tmp_path / "out"
    config = write_config(tmp_path / "c.toml", CHIP)
    reply = ecoformer("export", "-c", config, "-m", model, "-o", out, "--network")
    assert reply.returncode == 0, reply.stderr
    assert "whole network in integers" in reply.stdout
    assert "integer network: 1,000 of 1,000" in reply.stderr
    design = NetworkDesign.load(out / "network.toml")
    assert (design.residual_width, design.cycles_per_token, design.hidden) == (14, 750, 24)
    assert NetworkDesign.load(out / "network.toml") == design
    image = NetworkImage.load(out / "network.safetensors", design)
    held_out = load("mnist").held_out
    labels = run(design, image, held_out.images.numpy()).argmax(1)
    figures = json.loads((out / "export.json").read_text())["network"]
    assert figures["accuracy"] == np.mean(labels == held_out.labels.numpy())
    assert figures["changed_predictions"] < 100  # of 1,000, by a random network
    assert_evaluated(tmp_path, model, out, config, figures["accuracy"])
    changed = figures["became_right"] - figures["became_wrong"]
    assert round(1_000 * (figures["accuracy"] - figures["float_accuracy"])) == changed


def assert_evaluated(tmp_path, model, out, config, accuracy):
    """``evaluate --network`` has a row of its own, and refuses what does not belong together."""
    reply = ecoformer(
        "evaluate", model, "-c", config, "--network", out, "--json", tmp_path / "f.json"
    )
    assert reply.returncode == 0, reply.stderr
    results = json.loads((tmp_path / "f.json").read_text())["results"]
    assert [*results] == ["EcoFormer, float", "whole network, integers"]
    assert results["whole network, integers"]["top1"] == accuracy
    assert "whole network, integers" in reply.stdout and f"{accuracy:.2%}" in reply.stdout
    other = write_model(tmp_path / "other.pt", replace(SHAPE, depth=1))
    reply = ecoformer("evaluate", other, "-c", config, "--network", out)
    assert_refused(reply, "a network with depth = 2, but the model has 1; export it from this")
    reply = ecoformer("evaluate", model, "-c", config, "--network", tmp_path)
    assert_refused(reply, "no network.toml; write it with 'export --network'")


@pytest.mark.slow
def test_a_network_that_the_chip_has_not_is_refused_before_any_work(tmp_path):
    model = write_model(tmp_path / "m.pt", replace(SHAPE, mlp_convolution=True))
    reply = ecoformer(
        "export", "-c", write_config(tmp_path / "c.toml"), "-m", model, "-o", tmp_path / "x",
        "--network",
    )
    assert_refused(reply, "mlp_convolution must be False for a network on the chip, not True")
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_weights_are_tuned_before(tmp_path):
    config = write_config(tmp_path / "c.toml", "\n[chip]\nweights = \"ternary\"\n")
    model, out = write_model(tmp_path / "m.pt"), tmp_path / "out"
    command = "export", "-c", config, "-m", model, "-o", out
    reply = ecoformer(*command, "--tune", 1)
    assert_refused(reply, "--tune: trains a whole network; give --network, too")
    accuracies = []
    for epochs in (0, 1):
        reply = ecoformer(*command, "--network", "--tune", epochs)
        assert reply.returncode == 0, reply.stderr
        figures = json.loads((out / "export.json").read_text())["network"]
        assert figures["tuned_epochs"] == epochs and figures["weights"] == "ternary"
        accuracies.append(figures["accuracy"])
    assert accuracies[1] > accuracies[0] + 0.1  # the network is random
    NetworkImage.load(out / "network.safetensors", NetworkDesign.load(out / "network.toml"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "chip, words",
    [("residual_width = 19", "[chip] residual_width must be 8…18, not 19"),
     ("width = 12", "[chip] width is given in another table; give it once, there"),
     ("weights = \"int4\"", "[chip] weights must be 'int8' or 'pow2' or 'ternary', not 'int4'"),
     ("speed = 3", "unknown key in [chip]: speed")],
)
def test_values_of_the_table_are_checked(tmp_path, chip, words):
    config = write_config(tmp_path / "c.toml", f"\n[chip]\n{chip}\n")
    model = write_model(tmp_path / "m.pt")
    reply = ecoformer("export", "-c", config, "-m", model, "-o", tmp_path / "x", "--network")
    assert_refused(reply, words)
    assert not (tmp_path / "x").exists()
