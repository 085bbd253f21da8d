# SPDX-License-Identifier: Apache-2.0
"""Pyramids are trained, exported and evaluated as vision transformers are."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ecoformer.cli.quality import quality_panels, show_quality
from ecoformer.errors import EcoformerError
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.learn import data
from ecoformer.golden.learn.data import DataSet, Split
from ecoformer.golden.learn.recipe import TrainingConfig
from ecoformer.golden.learn.train import train
from ecoformer.golden.networks.drop_path import draw_paths
from ecoformer.golden.networks.network import (
    load_network,
    make_network,
    read_network,
    save_network,
)
from ecoformer.golden.networks.pyramid_config import NAMED, PyramidConfig
from ecoformer.golden.networks.vit import NetworkConfig, VisionTransformer
from ecoformer.golden.quality.plot import save_heat_maps
from ecoformer.golden.quantize.evaluation import export
from ecoformer.golden.recording import record
from ecoformer.spec.config import Config
from tests.golden.learn.stopping import StopAfter

SIZES = {
    "widths": (8, 16, 16, 16), "depths": (1, 2, 1, 1), "heads": (1, 2, 2, 2),
    "mlp_ratios": (2, 2, 2, 2), "image_size": 32, "channels": 1, "classes": 3,
}
NETWORKS = {
    "pvt_v2": PyramidConfig(
        family="pvt_v2", attention=("ecoformer", "ecoformer", "reduced", "softmax"), **SIZES
    ),
    "twins_svt": PyramidConfig(
        family="twins_svt", window=4, attention=("reduced", "ecoformer", "ecoformer", "softmax"),
        **SIZES,
    ),
}
ATTENTION = AttentionConfig(code_bits=4, anchors=5)
TRAINING = TrainingConfig(
    pretrain_epochs=2, tune_epochs=2, tune_lrs=(5e-3,), pretrain_lr=1e-2, batch=16, shift=1,
    hash_images=4, hash_iterations=5, drop_path=0.1, ema=0.5, clip=5.0,
)


def bars(count, seed):
    """Images with one bright third: top, middle or bottom."""
    labels = torch.arange(count) % 3
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 90, (count, 1, 32, 32), generator=generator, dtype=torch.uint8)
    for image, label in zip(images, labels, strict=True):
        image[0, 11 * label : 11 * label + 10] += 150
    return Split(images, labels)


PARTS = DataSet("mnist", 3, bars(96, 0), bars(12, 1), bars(30, 2))


@pytest.fixture(autouse=True)
def tiny_data(monkeypatch):
    monkeypatch.setattr(data, "load", lambda name, path, seed: PARTS)


@pytest.mark.slow
@pytest.mark.parametrize("family", NETWORKS)
def test_a_pyramid_is_trained_resumed_exported_and_started_from(family, tmp_path):
    network = NETWORKS[family]
    metrics = train(network, ATTENTION, TRAINING, tmp_path / "whole")
    assert metrics["held_out_accuracy"]["ecoformer"] > 0.6
    layers = sum(d for d, kind in zip(network.depths, network.attention) if kind == "ecoformer")
    assert len(metrics["hashes"]["loss_curves"]) == layers == 3

    with pytest.raises(KeyboardInterrupt):
        train(network, ATTENTION, TRAINING, tmp_path / "broken", StopAfter(4))
    train(network, ATTENTION, TRAINING, tmp_path / "broken")
    for name in ("ecoformer.pt", "softmax.pt"):
        assert (tmp_path / "broken" / name).read_bytes() == (
            tmp_path / "whole" / name).read_bytes()

    model = load_network(tmp_path / "whole" / "ecoformer.pt")
    assert model.config == network and model.attention_config == ATTENTION
    softmax = load_network(tmp_path / "whole" / "pretrained.pt")
    assert softmax.config == network.softmax_form and softmax.attention_config is None

    sets = sum(layer.heads for layer in model.attention_layers())
    engine = Config(head_dim=8, value_dim=8, code_bits=4, anchors=5, max_tokens=network.tokens,
                    parameter_sets=sets, cycles_per_token=16)
    image, workload, figures = export(engine, model, PARTS, report=True)
    panels = quality_panels(figures["quality"], figures["code_disagreement"])
    save_heat_maps(tmp_path / "hashes.png", panels, family)
    show_quality(figures["quality"], figures["code_disagreement"])
    assert len(figures["quality"]) == sets
    assert image.sets == sets and len(workload) == sets
    assert figures["integer_accuracy"] > 0.6
    assert figures["float_accuracy"] == metrics["held_out_accuracy"]["ecoformer"]

    again = train(network, ATTENTION, TRAINING, tmp_path / "started", start=softmax, control=False)
    assert again["held_out_accuracy"]["ecoformer"] == metrics["held_out_accuracy"]["ecoformer"]
    other = replace(network, depths=(1, 1, 1, 1))
    with pytest.raises(EcoformerError, match=r"^start: its shape is not that of \[network\]: "):
        train(other, ATTENTION, TRAINING, tmp_path / "started", start=softmax)


@pytest.mark.parametrize("recipe", [
    {"limit_epochs": 1, "controls": ("mean", "none"), "hash_learner": "random"},
    {"hash_learner": "output", "hash_images": 32},
], ids=["limit", "output"])
def test_every_learner_and_step_takes_a_pyramid(recipe, tmp_path):
    training = replace(TRAINING, pretrain_epochs=1, tune_epochs=1, **recipe)
    metrics = train(NETWORKS["pvt_v2"], ATTENTION, training, tmp_path, control=False)
    assert len(metrics["hashes"]["separation_after_swap"]) == 3
    assert {*training.controls} <= metrics["held_out_accuracy"].keys()


def test_paths_of_a_pyramid_are_dropped_in_the_order_of_use():
    model = make_network(NETWORKS["twins_svt"])
    rates = (draw_paths(model, 0.5, 9_000, np.random.default_rng(0)) == 0).double().mean(1)
    wanted = torch.linspace(0, 0.5, 5).repeat_interleave(2)
    torch.testing.assert_close(rates, wanted.double(), atol=0.03, rtol=0)
    order = []
    for name, module in model.named_modules():
        if name.endswith(("add1", "add2")):
            module.register_forward_hook(lambda *_, name=name: order.append(name))
    model(torch.zeros(1, 1, 32, 32, dtype=torch.uint8))
    named = [name for name, _ in model.named_modules() if name.endswith(("add1", "add2"))]
    assert order == named


def test_the_longest_sequence_is_that_of_the_first_stage_with_codes():
    for network in NETWORKS.values():
        assert network.tokens == 64 if network.family == "pvt_v2" else 16
        model = make_network(network)
        model.replace_attention(ATTENTION)
        image = torch.zeros(1, 1, 32, 32, dtype=torch.uint8)
        tape = record(model.attention_layers(), lambda model=model, image=image: model(image))
        assert max(call.q.shape[2] for calls in tape for call in calls) == network.tokens
    assert NAMED["PVTv2-B0"] == PyramidConfig() and PyramidConfig().tokens == 3_136


def test_tables_of_both_kinds_are_read(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text('[network]\nfamily = "pvt_v2"\nwidths = [8, 16, 16, 16]\nheads = [1, 2, 2, 2]\n'
                    'attention = ["softmax", "ecoformer", "softmax", "softmax"]\n')
    assert read_network(path).attention == ("softmax", "ecoformer", "softmax", "softmax")
    path.write_text("[network]\nwidth = 32\n")
    assert read_network(path) == NetworkConfig(width=32)
    path.write_text('[network]\nfamily = "pvt_v2"\nwidth = 32\n')
    with pytest.raises(EcoformerError, match=r"unknown key in \[network\]: width; known: family"):
        read_network(path)


def test_files_of_both_kinds_are_read(tmp_path):
    for model in (make_network(NETWORKS["pvt_v2"]), VisionTransformer(NetworkConfig(depth=1))):
        save_network(model, tmp_path / "a.pt")
        again = load_network(tmp_path / "a.pt")
        assert type(again) is type(model) and not again.training
    (tmp_path / "a.pt").write_bytes((tmp_path / "a.pt").read_bytes()[:300])
    with pytest.raises(EcoformerError, match="damaged model file .*; train again"):
        load_network(tmp_path / "a.pt")


@pytest.mark.parametrize("network, attention, text", [
    (replace(NETWORKS["pvt_v2"], attention=("softmax",) * 4), ATTENTION,
     r"^\[network\] attention must be 'ecoformer' in a stage, not \['softmax'"),
    (NETWORKS["pvt_v2"], replace(ATTENTION, queries="separate"),
     r"^\[network\] family must be left out with queries = 'separate'"),
    (replace(NETWORKS["twins_svt"], window=5), ATTENTION,
     r"^\[network\] image_size must leave whole tokens in every stage, not be 32 \(tokens must be"),
    (replace(NETWORKS["twins_svt"], image_size=16), ATTENTION, r"^\[network\] image_size must"),
])
def test_pyramids_that_cannot_be_trained_are_refused(network, attention, text, tmp_path):
    with pytest.raises(EcoformerError, match=text):
        train(network, attention, TRAINING, tmp_path)
    assert not [*tmp_path.iterdir()]
