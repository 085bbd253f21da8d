# SPDX-License-Identifier: Apache-2.0
import json
from dataclasses import replace

import pytest
import torch

from ecoformer.errors import EcoformerError
from ecoformer.golden.attention import softmax_attention
from ecoformer.golden.learn import fit
from ecoformer.golden.learn import train as training_module
from ecoformer.golden.learn.batches import draw_moves, shift_images
from ecoformer.golden.learn.fit import accuracy, predict
from ecoformer.golden.learn.loop import learning_rate
from ecoformer.golden.learn.recipe import TrainingConfig
from ecoformer.golden.learn.train import train
from ecoformer.golden.networks.vit import NetworkConfig, VisionTransformer, load_model
from ecoformer.golden.recording import record
from ecoformer.progress import SILENT
from tests.golden.learn.training.tiny import ATTENTION, NETWORK, TRAINING


def test_run_learns_and_writes_its_results(finished, tiny_data):
    out, metrics = finished
    assert json.loads((out / "metrics.json").read_text()) == metrics
    assert metrics["held_out_accuracy"]["softmax"] > 0.6
    assert metrics["settings"]["training"]["seed"] == 0
    assert len(metrics["hashes"]["loss_curves"]) == NETWORK.depth
    assert len(metrics["pretraining"]["history"]) == 3
    held_out = tiny_data.held_out
    for name, mode in (("softmax", None), ("ecoformer", ATTENTION)):
        model = load_model(out / f"{name}.pt")
        assert model.attention_config == mode
        score = accuracy(model, held_out.images, held_out.labels, batch=7)
        assert score == metrics["held_out_accuracy"][name]
    assert all(layer.hash.frozen for layer in model.attention_layers())


def test_teacher_is_the_softmax_network(monkeypatch, tmp_path):
    """Targets are what the layers of the network before the swap answered."""
    seen = []
    distil = training_module.distil_layers

    def spy(layers, run, targets, *rest):
        seen.append([t.clone() for t in targets[0]])
        return distil(layers, run, targets, *rest)

    monkeypatch.setattr(training_module, "distil_layers", spy)
    training = TrainingConfig(**{**vars(TRAINING), "hash_learner": "output", "hash_images": 32})
    run = training_module._Run(NETWORK, ATTENTION, training, tmp_path, SILENT, True)
    torch.manual_seed(0)
    softmax = VisionTransformer(NETWORK).eval()
    run.replace(softmax)
    chosen = torch.randperm(96, generator=torch.Generator().manual_seed(0))[:16]
    first = softmax.attention_layers()[:1]
    ((call,),) = record(first, lambda: softmax(run.data.train.images[chosen]))
    torch.testing.assert_close(seen[0][0], softmax_attention(call.q, call.k, call.v))


def test_pretrained_network_takes_the_place_of_the_first_step(finished, tmp_path):
    start = load_model(finished[0] / "pretrained.pt")
    metrics = train(NETWORK, ATTENTION, TRAINING, tmp_path, start=start, control=False)
    assert metrics["pretraining"]["history"] == []
    name = "ecoformer.pt"
    assert (tmp_path / name).read_bytes() == (finished[0] / name).read_bytes()
    assert "softmax" not in metrics and "softmax" not in metrics["held_out_accuracy"]
    assert not (tmp_path / "softmax.pt").exists()

    # Checkpoints belong to that start.
    other = load_model(finished[0] / "softmax.pt")
    with pytest.raises(EcoformerError, match="checkpoint of other settings"):
        train(NETWORK, ATTENTION, TRAINING, tmp_path, start=other)
    with pytest.raises(EcoformerError, match="^start: it has EcoFormer attention; give a softmax"):
        given = load_model(finished[0] / "ecoformer.pt")
        train(NETWORK, ATTENTION, TRAINING, tmp_path, start=given)
    deeper = NetworkConfig(**{**vars(NETWORK), "depth": 3})
    with pytest.raises(EcoformerError, match=r"^start: its shape is not that of \[network\]: "):
        train(deeper, ATTENTION, TRAINING, tmp_path, start=other)


def test_learning_rate_is_the_best_on_the_validation_part(finished):
    _, metrics = finished
    for arm in ("ecoformer", "softmax"):
        runs = {run["learning_rate"]: run["history"][-1] for run in metrics[arm]["runs"]}
        assert tuple(runs) == TRAINING.tune_lrs
        chosen = runs.pop(metrics[arm]["learning_rate"])
        (other,) = runs.values()
        assert chosen["validation_accuracy"] >= other["validation_accuracy"]
        if chosen["validation_accuracy"] == other["validation_accuracy"]:
            assert chosen["validation_loss"] < other["validation_loss"]


def test_epochs_differ_and_arms_see_the_same_images(monkeypatch, tmp_path):
    seen = {}

    draw = fit._Epochs._draw

    def spy(run, step):
        images, targets = draw(run, step)
        seen.setdefault(run.name, []).append(images.sum((1, 2, 3)).tolist())
        return images, targets

    monkeypatch.setattr(fit._Epochs, "_draw", spy)
    train(NETWORK, ATTENTION, replace(TRAINING, shift=0), tmp_path)
    pretrain, *tuning = (seen[name] for name in sorted(seen, key=lambda name: name != "pretrain"))
    assert len(tuning) == 4
    assert all(run == tuning[0] for run in tuning)
    assert pretrain[:6] != pretrain[6:12] != pretrain[12:]
    assert pretrain[:6] != tuning[0][:6]
    assert sorted(sum(pretrain[:6], [])) == sorted(sum(pretrain[6:12], []))


def test_seed_changes_the_weights(finished, tmp_path):
    train(NETWORK, ATTENTION, TrainingConfig(**{**vars(TRAINING), "seed": 1}), tmp_path)
    assert (tmp_path / "softmax.pt").read_bytes() != (finished[0] / "softmax.pt").read_bytes()


def test_caller_keeps_its_random_state_and_threads(tmp_path):
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(NETWORK, ATTENTION, TRAINING, tmp_path)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(threads)


def test_prediction_leaves_the_mode_and_order_alone(tiny_data):
    model = VisionTransformer(NETWORK).train()
    images = tiny_data.held_out.images
    labels = predict(model, images, batch=7)
    assert model.training
    assert torch.equal(labels, predict(model, images, batch=60))
    assert accuracy(model, images, labels) == 1.0


def test_shift_moves_within_the_distance_and_fills_zeros():
    images = torch.zeros(200, 2, 5, 7, dtype=torch.uint8)
    images[:, :, 2, 3] = 9
    moved = shift_images(images, 2, draw_moves(200, 2, torch.Generator().manual_seed(0)))
    assert moved.shape == images.shape
    image, channel, row, column = moved.nonzero(as_tuple=True)
    assert len(image) == 400
    assert {*row.tolist()} == {0, 1, 2, 3, 4}
    assert {*column.tolist()} == {1, 2, 3, 4, 5}
    assert torch.equal(moved[:, 0], moved[:, 1])
    corner = torch.full((1, 1, 4, 4), 5, dtype=torch.uint8)
    assert shift_images(corner, 0, None) is corner
    draws = [draw_moves(1, 1, torch.Generator().manual_seed(seed)) for seed in range(20)]
    sums = [shift_images(corner, 1, moves).sum().item() for moves in draws]
    assert {*sums} <= {80, 60, 45} and len({*sums}) > 1


def test_learning_rate_schedule():
    # 100 epochs of two steps, ten of them warm-up.
    rates = [learning_rate(step / 2, 100, 10, 0.5, 2.0) for step in range(201)]
    assert rates[0] == pytest.approx(2.0 / 20)
    assert rates[19] == rates[20] == pytest.approx(2.0)
    assert rates[110] == pytest.approx(1.0)
    assert rates[200] == pytest.approx(0.0)
    assert all(later < earlier for earlier, later in zip(rates[20:], rates[21:]))
    assert learning_rate(0, 1, 0, 0.5, 2.0) == 2.0
    assert learning_rate(0, 1, 5, 0.5, 2.0) == pytest.approx(0.2)
