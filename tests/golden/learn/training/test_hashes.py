# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import pytest
import torch

from ecoformer.golden.attention import cores_of
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.files import read_checked
from ecoformer.golden.learn import train as training_module
from ecoformer.golden.learn.networks import draw_hash, learn_hashes
from ecoformer.golden.learn.recipe import TrainingConfig
from ecoformer.golden.learn.train import train
from ecoformer.golden.networks.vit import NetworkConfig, VisionTransformer, load_model
from ecoformer.golden.stand_ins import LimitAttention
from tests.golden.learn.stopping import StopAfter
from tests.golden.learn.training.tiny import ATTENTION, NETWORK, TRAINING

SEPARATE = {"hash": "linear", "normalise": True, "queries": "separate"}
FAMILIES = {
    "refreshed": ({}, {"hash_refresh": 1, "hash_start": "spectral"}),
    "adders-only": ({"hash": "linear", "weights": "ternary", "offset": 3.0}, {}),
    "from-output": ({}, {"hash_learner": "output", "hash_images": 32, "train_hash": True}),
    "recipe": ({}, {
        "crop_area": 0.7, "flip": 0.5, "randaugment": 1, "erasing": 0.2, "mixup": 0.2,
        "cutmix": 0.2, "drop_path": 0.1, "clip": 5.0, "accumulate": 2, "ema": 0.9,
        "precision": "float16", "warmup_lr": 1e-4, "final_lr": 1e-4, "pretrain_epochs": 12,
    }),
    "separate": (SEPARATE, {"hash_learner": "attention", "hash_images": 32}),
}
"""What of the attention and of the training is another."""


@pytest.mark.parametrize("family", FAMILIES)
def test_family_is_trained_and_goes_on_after_an_interruption(family, tmp_path):
    shape, recipe = FAMILIES[family]
    attention = replace(ATTENTION, **shape)
    training = replace(TRAINING, tune_epochs=3, **recipe)
    metrics = train(NETWORK, attention, training, tmp_path / "whole")
    assert metrics["held_out_accuracy"]["ecoformer"] > 0.6
    model = load_model(tmp_path / "whole" / "ecoformer.pt")
    assert model.attention_config == attention
    with pytest.raises(KeyboardInterrupt):
        train(NETWORK, attention, training, tmp_path / "broken", StopAfter(7))
    train(NETWORK, attention, training, tmp_path / "broken")
    name = "ecoformer.pt"
    assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def hashes_before_and_after_tuning(training, monkeypatch, tmp_path):
    before = []
    tune = training_module._Run.tune

    def spy(run, starts):
        before.append([p.clone() for core in cores_of(starts["ecoformer"]) for p in [
            *core.parameters()]])
        return tune(run, starts)

    monkeypatch.setattr(training_module._Run, "tune", spy)
    train(NETWORK, ATTENTION, training, tmp_path)
    model = load_model(tmp_path / "ecoformer.pt")
    return before[0], [p for core in cores_of(model) for p in core.parameters()]


@pytest.mark.parametrize(
    "change, moves",
    [({}, False), ({"hash_refresh": 5}, False), ({"hash_refresh": 1}, True),
     ({"train_hash": True}, True)],
    ids=["frozen", "refresh-too-late", "refresh", "task-loss"],
)
def test_tuning_moves_hashes_only_when_told(change, moves, monkeypatch, tmp_path):
    training = TrainingConfig(**{**vars(TRAINING), **change})
    before, after = hashes_before_and_after_tuning(training, monkeypatch, tmp_path)
    same = [torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    assert all(same) != moves
    offsets = [p for p in after if p.ndim == 1]
    assert all(((p >= 0) & (p <= 2 * ATTENTION.code_bits)).all() for p in offsets)


def test_layers_learn_as_released():
    images = torch.randint(0, 256, (3, 1, 28, 28), dtype=torch.uint8)
    model = VisionTransformer(NetworkConfig(depth=2), AttentionConfig(code_bits=3, anchors=5))
    before = [layer.hash.projection.clone() for layer in model.attention_layers()]
    settings = TrainingConfig(hash_learner="released", hash_iterations=30).hash_learning
    curves = learn_hashes(model.eval(), images, 0, settings, "released")
    assert [tuple(curve.shape) for curve in curves] == [(3, 31, 2)] * 2
    assert all(layer.hash.frozen for layer in model.attention_layers())
    for layer, start in zip(model.attention_layers(), before):
        kept = (layer.hash.projection == start).all(-1)
        assert (kept == kept[:1]).all()  # one decision for all heads


def test_limit_and_controls_are_trained_beside_and_go_on_after_an_interruption(tmp_path):
    training = replace(
        TRAINING, limit_epochs=2, controls=("mean", "none"), hash_learner="random", limit_lr=1e-2
    )
    metrics = train(NETWORK, ATTENTION, training, tmp_path / "whole", control=False)
    scores = metrics["held_out_accuracy"]
    assert list(scores) == [
        "pretrained", "limit", "mean", "none", "ecoformer_after_swap", "ecoformer"
    ]
    assert len(metrics["limit"]["history"]) == 2
    assert {name: len(history) for name, history in metrics["controls"].items()} == {
        "mean": 3, "none": 3
    }
    assert scores["limit"] > 0.6
    with pytest.raises(KeyboardInterrupt):
        train(NETWORK, ATTENTION, training, tmp_path / "broken", StopAfter(6), control=False)
    train(NETWORK, ATTENTION, training, tmp_path / "broken", control=False)
    name = "ecoformer.pt"
    assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_codes_stay_as_learned_when_nothing_is_tuned(tmp_path):
    training = replace(
        TRAINING, limit_epochs=2, limit_lr=1e-2, tune_epochs=0, hash_learner="network",
        hash_images=48,
    )
    metrics = train(NETWORK, ATTENTION, training, tmp_path)
    scores = metrics["held_out_accuracy"]
    assert scores["ecoformer"] == scores["ecoformer_after_swap"]
    for step in ("limit", "softmax_beside_limit"):  # equal budgets
        assert len(metrics[step]["history"]) == 2
    before, after = (load_model(tmp_path / f"{name}.pt") for name in ("pretrained", "softmax"))
    assert not torch.equal(before.blocks[0].mlp[0].weight, after.blocks[0].mlp[0].weight)
    assert metrics["ecoformer"]["runs"] == [] and metrics["ecoformer"]["learning_rate"] is None
    assert 0 <= metrics["ecoformer"]["validation_accuracy"] <= 1
    (losses,) = metrics["hashes"]["loss_curves"]
    assert min(losses) < losses[0]
    model = load_model(tmp_path / "ecoformer.pt")
    limit = read_checked(tmp_path / "checkpoints" / "limit.pt", "checkpoint")["model"]
    own = dict(model.named_parameters())
    assert all(torch.equal(own[name], value) for name, value in limit.items())


def test_a_network_learns_again_from_its_own_limit(monkeypatch, tmp_path):
    """With hash_refresh the teacher has the weights that were tuned, and the limit's attention."""
    seen = []

    def spy(model, teacher, *rest):
        attention = {type(layer) for layer in teacher.attention_layers()}
        weights = model.blocks[0].attention.out.weight, teacher.blocks[0].attention.out.weight
        seen.append((attention, torch.equal(*weights), weights[0].clone()))
        return [0.0]

    monkeypatch.setattr(training_module, "distil_network", spy)
    training = replace(
        TRAINING, limit_epochs=1, hash_learner="network", hash_refresh=1, tune_lrs=(1e-2,)
    )
    train(NETWORK, ATTENTION, training, tmp_path, control=False)
    assert [(attention, same) for attention, same, _ in seen] == [({LimitAttention}, True)] * 2
    assert not torch.equal(seen[0][2], seen[1][2])


def test_drawn_hashes_are_calibrated_and_seeded():
    x = torch.randn(2, 2, 9, 4)
    drawn = []
    for seed in (1, 1, 2):
        drawn.append(ATTENTION.make_hash(2, 4))
        draw_hash(drawn[-1], x, torch.Generator().manual_seed(seed))
    assert torch.equal(drawn[0](x), drawn[1](x)) and not torch.equal(drawn[0](x), drawn[2](x))
    assert drawn[0].frozen
    y = drawn[0].project(x)
    assert y.mean((0, 2)).abs().max() < 1e-4
    torch.testing.assert_close(y.square().mean((0, 2)), torch.ones(2, 4), rtol=0.01, atol=0)
