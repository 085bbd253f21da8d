# SPDX-License-Identifier: Apache-2.0
"""Decoders that learn a text by the loop that trains networks for images, and their integers."""

import csv
import json
import math
import random
from dataclasses import replace

import pytest
import torch

from ecoformer.errors import EcoformerError
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.learn import recipe
from ecoformer.golden.learn.accuracy import judge
from ecoformer.golden.learn.predictions import IGNORED, loss_of, measure
from ecoformer.golden.learn.recipe import TrainingConfig
from ecoformer.golden.learn.sources import open_data
from ecoformer.golden.learn.step_config import merit
from ecoformer.golden.learn.train import train
from ecoformer.golden.networks.decoder import DecoderConfig
from ecoformer.golden.networks.network import load_network
from ecoformer.golden.quantize import integer_network
from ecoformer.golden.quantize.decoder import decoder_shape
from ecoformer.golden.quantize.integer_network import IntegerNetwork, compare, quantise
from ecoformer.golden.quantize.tune import fold_norms, tune
from ecoformer.spec.config import Config
from ecoformer.spec.network.decoder import DecoderDesign
from tests.golden.learn.stopping import StopAfter

ATTENTION = AttentionConfig(code_bits=8, hash="linear", weights="ternary", queries="separate")
ALPHABET = "abdegilmnortu"
SHAPE = DecoderConfig(vocabulary=len(ALPHABET) + 1, positions=6, width=8, heads=2, mlp_ratio=2)
WORDS = [a + b + c for a in "bdglmt" for b in "aeiou" for c in ("n", "ra", "", "no", "lar")]
TRAINING = TrainingConfig(
    data="lines", batch=32, label_smoothing=0.0, pretrain_epochs=30, tune_epochs=10,
    pretrain_lr=1e-2, tune_lrs=(5e-3,), hash_learner="output", hash_images=64, hash_iterations=10,
    train_hash=True, weight_decay=0.01,
)
SHORT = replace(TRAINING, pretrain_epochs=2, tune_epochs=2, tune_lrs=(5e-3, 1e-3))


@pytest.fixture(scope="session")
def words(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "words.txt"
    path.write_text("\n".join(WORDS))
    return str(path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory, words):
    """Folder, metrics and data of one uninterrupted training."""
    out = tmp_path_factory.mktemp("finished")
    training = replace(TRAINING, data_path=words)
    return out, train(SHAPE, ATTENTION, training, out), open_data(training, SHAPE)


def test_a_decoder_learns_what_follows_a_character(finished):
    out, metrics, data = finished
    assert json.loads((out / "metrics.json").read_text()) == metrics
    assert metrics["contexts"] == {"train": 128, "validation": 7, "held_out": 15}
    perplexity = metrics["held_out_perplexity"]
    assert max(perplexity["softmax"], perplexity["ecoformer"]) < 5 < SHAPE.vocabulary
    assert metrics["settings"]["network"]["alphabet"] == ALPHABET
    for name, attention in (("pretrained", None), ("ecoformer", ATTENTION)):
        model = load_network(out / f"{name}.pt")
        assert model.config == replace(SHAPE, alphabet=ALPHABET)
        assert model.attention_config == attention
        score = judge(model, data.held_out, batch=4)
        assert math.isclose(score.perplexity, perplexity[name], rel_tol=1e-5)
        assert score.top1 == metrics["held_out_accuracy"][name]
    history = metrics["ecoformer"]["runs"][0]["history"]
    assert {"validation_perplexity", "contexts_per_second"} <= history[-1].keys()
    with open(out / "checkpoints" / "pretrain.csv", newline="") as file:
        assert float([*csv.DictReader(file)][-1]["validation_perplexity"]) < 6


def test_only_characters_that_are_there_are_predicted(finished):
    data = finished[2]
    logits = torch.zeros(2, 3, 4)
    logits[0, :, 1] = 5.0
    labels = torch.tensor([[1, 2, IGNORED], [0, IGNORED, IGNORED]])
    judged = measure(logits, labels)
    assert judged.accuracy == 2 / 3  # of equals the first is the best
    assert math.isclose(judged.loss, loss_of(logits, labels).item(), rel_tol=1e-6)
    assert math.isclose(measure(torch.zeros(2, 3, 4), labels).perplexity, 4, rel_tol=1e-6)
    assert int((data.held_out.labels != IGNORED).sum()) < data.held_out.labels.numel()


def test_the_loss_decides_between_epochs_of_a_text():
    better = {"validation_accuracy": 0.2, "validation_loss": 1.0, "validation_perplexity": 2.7}
    worse = {"validation_accuracy": 0.3, "validation_loss": 1.5, "validation_perplexity": 4.5}
    assert max(better, worse, key=merit) is better
    for entry in (better, worse):
        del entry["validation_perplexity"]
    assert max(better, worse, key=merit) is worse


@pytest.mark.parametrize("lines", [1, 3, 5], ids=lambda n: f"after-{n}-lines")
def test_resumed_training_ends_with_the_same_bytes(lines, words, tmp_path):
    training = replace(SHORT, data_path=words, accumulate=2, ema=0.5)
    train(SHAPE, ATTENTION, training, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(SHAPE, ATTENTION, training, tmp_path, StopAfter(lines))
    train(SHAPE, ATTENTION, training, tmp_path)
    for name in ("softmax.pt", "ecoformer.pt"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_controls_do_not_see_what_follows(tmp_path):
    """Of letters drawn at random there is nothing to learn but from those that follow."""
    draw = random.Random(0)
    path = tmp_path / "noise.txt"
    path.write_text("\n".join("".join(draw.choices(ALPHABET, k=5)) for _ in range(400)))
    training = replace(
        TRAINING, data_path=str(path), pretrain_epochs=15, tune_epochs=0, controls=("mean", "none")
    )
    metrics = train(SHAPE, ATTENTION, training, tmp_path, control=False)
    assert {name: len(history) for name, history in metrics["controls"].items()} == {
        "mean": 15, "none": 15
    }
    perplexity = metrics["held_out_perplexity"]
    assert list(perplexity) == ["pretrained", "mean", "none", "ecoformer_after_swap", "ecoformer"]
    assert min(perplexity.values()) > 0.95 * len(ALPHABET) ** (5 / 6)  # a line's end is certain


def test_parts_of_a_batch_have_the_gradient_of_the_whole(words, tmp_path):
    losses = []
    for parts in (1, 3):
        training = replace(SHORT, data_path=words, accumulate=parts, tune_epochs=0)
        metrics = train(SHAPE, ATTENTION, training, tmp_path / str(parts), control=False)
        losses.append([entry["loss"] for entry in metrics["pretraining"]["history"]])
    assert losses[0] != losses[1]  # in the last bits
    torch.testing.assert_close(*map(torch.tensor, losses), rtol=1e-4, atol=0)


def test_a_checkpoint_of_another_text_is_refused(words, tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("\n".join(WORDS))
    training = replace(SHORT, data_path=str(path))
    with pytest.raises(KeyboardInterrupt):
        train(SHAPE, ATTENTION, training, tmp_path, StopAfter(1))
    path.write_text("\n".join(sorted({*WORDS} - {"ban"} | {"nab"})))
    with pytest.raises(EcoformerError, match="checkpoint of other settings: text is another"):
        train(SHAPE, ATTENTION, training, tmp_path)
    train(SHAPE, ATTENTION, training, tmp_path, resume=False, control=False)


def test_a_loss_that_is_not_finite_is_named(words, tmp_path, monkeypatch):
    monkeypatch.setattr(recipe, "FASTEST", math.inf)
    wild = replace(SHORT, data_path=words, pretrain_lr=1e30)
    with pytest.raises(EcoformerError, match="^training pretrain: the loss is nan in step"):
        train(SHAPE, ATTENTION, wild, tmp_path)


def design_of(model, **changes):
    attention = Config(
        head_dim=4, value_dim=4, code_bits=8, hash="linear", weights="ternary", mask="causal",
        queries="separate", offset_fraction=4, cycles_per_token=4, contexts=4,
    )
    return DecoderDesign(
        **decoder_shape(model) | dict(attention=attention, cycles_per_token=32) | changes
    )


def test_integers_predict_as_well(finished):
    out, metrics, data = finished
    model = load_network(out / "ecoformer.pt")
    quantised = quantise(design_of(model), model, data)
    assert quantised.design.score_scale == float(quantised.scales["scores"]) > 0
    figures = compare(quantised, model, data.held_out)
    wanted = metrics["held_out_perplexity"]["ecoformer"]
    assert math.isclose(figures["float_perplexity"], wanted, rel_tol=1e-5)
    assert abs(figures["perplexity"] / wanted - 1) < 0.02
    integers = IntegerNetwork(quantised.design, quantised.image)
    logits = integers(data.held_out.images)
    assert measure(logits, data.held_out.labels).perplexity == figures["perplexity"]


def test_as_many_tokens_calibrate_however_long_contexts_are(finished, monkeypatch):
    out, _, data = finished
    model = load_network(out / "ecoformer.pt")
    few = replace(data, train=data.train.take(torch.arange(3)))
    scales = [quantise(design_of(model), model, part).scales for part in (few, data)]
    assert any((scales[0][name] != scale).any() for name, scale in scales[1].items())
    monkeypatch.setattr(integer_network, "CALIBRATION_TOKENS", 4 * SHAPE.positions - 1)
    scales[1] = quantise(design_of(model), model, data).scales
    assert all((scales[0][name] == scale).all() for name, scale in scales[1].items())


def test_coarse_weights_are_tuned(finished, tmp_path):
    out, _, data = finished
    model = load_network(out / "ecoformer.pt")
    design = design_of(model, weights="ternary")
    before = compare(quantise(design, model, data), model, data.held_out)
    quantised = tune(design, model, data, TRAINING, 30, tmp_path)
    scales = quantise(design, fold_norms(model), data).scales  # for which weights were rounded
    assert (quantised.scales["blocks.0.vectors"] == scales["blocks.0.vectors"]).all()
    after = compare(quantised, model, data.held_out)
    assert after["perplexity"] < before["perplexity"] - 0.1


def test_a_decoder_with_softmax_has_no_design(finished):
    with pytest.raises(EcoformerError, match="softmax attention; train one with EcoFormer"):
        decoder_shape(load_network(finished[0] / "softmax.pt"))
