# SPDX-License-Identifier: Apache-2.0
import csv
import io
import json
import math
import shutil
from dataclasses import replace

import pytest
import torch

from ecoformer.errors import EcoformerError
from ecoformer.golden.attention import cores_of, softmax_attention
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.files import read_checked, torch_bytes
from ecoformer.golden.learn import data, fit, recipe
from ecoformer.golden.learn import train as training_module
from ecoformer.golden.learn.batches import draw_moves, shift_images
from ecoformer.golden.learn.data import ImageData, Split
from ecoformer.golden.learn.fit import accuracy, predict
from ecoformer.golden.learn.loop import learning_rate
from ecoformer.golden.learn.networks import draw_hash, learn_hashes
from ecoformer.golden.learn.recipe import TrainingConfig
from ecoformer.golden.learn.train import train
from ecoformer.golden.networks.vit import NetworkConfig, VisionTransformer, load_model
from ecoformer.golden.recording import record
from ecoformer.golden.stand_ins import LimitAttention
from ecoformer.progress import SILENT, LineProgress, Progress
from tests.golden.learn.stopping import StopAfter

NETWORK = NetworkConfig(image_size=8, patch=4, width=8, heads=2, depth=2, classes=3)
ATTENTION = AttentionConfig(code_bits=4, anchors=3)
TRAINING = TrainingConfig(
    pretrain_epochs=3,
    tune_epochs=2,
    pretrain_lr=1e-2,
    tune_lrs=(1e-3, 1e-2),
    batch=16,
    shift=1,
    hash_images=8,
    hash_iterations=5,
)


def bars(count, seed):
    """Images with one bright third: top, middle or bottom."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    images = torch.randint(0, 100, (count, 1, 8, 8), generator=generator, dtype=torch.uint8)
    for image, label in zip(images, labels, strict=True):
        image[0, 3 * label : 3 * label + 2] += 150
    return Split(images, labels)


@pytest.fixture(autouse=True)
def tiny_data(monkeypatch):
    parts = ImageData("mnist", 3, bars(96, 0), bars(30, 1), bars(60, 2))
    monkeypatch.setattr(data, "load", lambda name, path, seed: parts)
    return parts


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Folder and metrics of one uninterrupted run."""
    out = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        parts = ImageData("mnist", 3, bars(96, 0), bars(30, 1), bars(60, 2))
        patch.setattr(data, "load", lambda name, path, seed: parts)
        return out, train(NETWORK, ATTENTION, TRAINING, out)


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


@pytest.mark.parametrize("lines", [1, 4, 6, 9], ids=lambda n: f"after-{n}-lines")
def test_resumed_run_ends_with_the_same_bytes(lines, finished, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(NETWORK, ATTENTION, TRAINING, tmp_path, StopAfter(lines))
    assert not (tmp_path / "metrics.json").exists()
    train(NETWORK, ATTENTION, TRAINING, tmp_path)
    for name in ("softmax.pt", "ecoformer.pt"):
        assert (tmp_path / name).read_bytes() == (finished[0] / name).read_bytes()


def test_the_best_epoch_is_kept_over_an_interruption(tmp_path):
    training = replace(
        TRAINING, pretrain_epochs=6, final_lr=0.3, keep="best", tune_epochs=1, ema=0.3
    )
    metrics = train(NETWORK, ATTENTION, training, tmp_path / "whole")
    history = metrics["pretraining"]["history"]
    best = max(history, key=lambda e: (e["validation_accuracy"], -e["validation_loss"]))
    assert best is not history[-1]  # or the test tests nothing
    part = data.load("mnist", None, 0).validation
    model = load_model(tmp_path / "whole" / "pretrained.pt")
    assert accuracy(model, part.images, part.labels) == best["validation_accuracy"]
    with pytest.raises(KeyboardInterrupt):
        train(NETWORK, ATTENTION, training, tmp_path, StopAfter(best["epoch"] + 1))
    train(NETWORK, ATTENTION, training, tmp_path)
    for name in ("pretrained.pt", "ecoformer.pt"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    with pytest.raises(ValueError, match="^keep must be 'last' or 'best', not 'first'$"):
        replace(TRAINING, keep="first")


class StopAt(Progress):
    """Interrupts the run at a step of a stage."""

    def __init__(self, stage, step):
        self.end = stage, step

    def update(self, stage, done, total):
        if (stage, done) == self.end:
            raise KeyboardInterrupt


@pytest.mark.parametrize("stage, step", [("pretrain", 9), ("ecoformer lr 0.001", 10)])
def test_run_resumes_within_an_epoch(stage, step, tmp_path):
    training = replace(TRAINING, hash_refresh=1, ema=0.9, mixup=0.2)
    train(NETWORK, ATTENTION, training, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(NETWORK, ATTENTION, training, tmp_path, StopAt(stage, step), save_every=4)
    saved = torch.load(tmp_path / "checkpoints" / f"{stage.replace(' ', '-')}.pt")
    assert saved["step"] == 8 and len(saved["losses"]) == 2  # of epochs of 6 steps
    log = io.StringIO()
    train(NETWORK, ATTENTION, training, tmp_path, LineProgress(log))
    assert f"{stage}: 8 of" in log.getvalue()
    for name in ("pretrained.pt", "softmax.pt", "ecoformer.pt"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    with open(tmp_path / "checkpoints" / "pretrain.csv", newline="") as file:
        rows = [*csv.DictReader(file)]
    whole = json.loads((tmp_path / "whole" / "metrics.json").read_text())
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    losses = [entry["loss"] for entry in whole["pretraining"]["history"]]
    assert [float(row["loss"]) for row in rows] == losses


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


def test_finished_run_is_not_repeated(tmp_path):
    train(NETWORK, ATTENTION, TRAINING, tmp_path)
    log = io.StringIO()
    train(NETWORK, ATTENTION, TRAINING, tmp_path, LineProgress(log))
    assert "epoch" not in log.getvalue()
    train(NETWORK, ATTENTION, TRAINING, tmp_path, LineProgress(log), resume=False)
    assert log.getvalue().count("epoch") == 3 + 2 * 2 * 2


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


def test_checkpoint_of_another_network_is_refused(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(NETWORK, ATTENTION, TRAINING, tmp_path, StopAfter(1))
    (path,) = (tmp_path / "checkpoints").glob("*.pt")
    content = torch.load(path)
    content["model"]["spare"] = content["model"].pop("norm.weight")
    path.write_bytes(torch_bytes(content))
    with pytest.raises(EcoformerError, match="another version's network; train again with"):
        train(NETWORK, ATTENTION, TRAINING, tmp_path)


def test_what_earlier_steps_did_is_taken_over(finished, tmp_path):
    """A checkpoint depends on the settings of its own step and of those before it."""
    published, early = [], tmp_path / "early"
    with pytest.raises(KeyboardInterrupt):
        train(NETWORK, ATTENTION, TRAINING, early, StopAfter(5), pretrained=published.append)
    assert published == [early / "pretrained.pt"]
    assert published[0].read_bytes() == (finished[0] / "pretrained.pt").read_bytes()
    shutil.copytree(finished[0] / "checkpoints", tmp_path / "checkpoints")
    log = io.StringIO()
    other = replace(TRAINING, tune_lrs=(1e-2, 5e-3), hash_iterations=9, controls=("mean",))
    with pytest.raises(
        EcoformerError, match=r"ecoformer-lr-0.001.pt: checkpoint of other settings: "
        r"training.hash_iterations was 5 and is 9; give another folder",
    ):
        train(NETWORK, ATTENTION, replace(other, tune_lrs=(1e-3,)), tmp_path, LineProgress(log))
    train(NETWORK, ATTENTION, replace(other, hash_iterations=5), tmp_path, LineProgress(log))
    assert "pretrain: epoch" not in log.getvalue() and "mean: epoch 3/3" in log.getvalue()


def test_checkpoint_of_other_settings_is_refused(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(NETWORK, ATTENTION, TRAINING, tmp_path, StopAfter(1))
    other = TrainingConfig(**{**vars(TRAINING), "batch": 8})
    with pytest.raises(EcoformerError, match="pretrain.pt: checkpoint of other settings: training"):
        train(NETWORK, ATTENTION, other, tmp_path)
    train(NETWORK, ATTENTION, other, tmp_path, resume=False)


def test_damaged_checkpoint_is_refused(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(NETWORK, ATTENTION, TRAINING, tmp_path, StopAfter(1))
    path = tmp_path / "checkpoints" / "pretrain.pt"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(EcoformerError, match="pretrain.pt: damaged checkpoint"):
        train(NETWORK, ATTENTION, TRAINING, tmp_path)


@pytest.fixture
def any_rate(monkeypatch):
    """Learning rates that no configuration may have, for a loss that is soon not finite."""
    monkeypatch.setattr(recipe, "FASTEST", math.inf)


def test_loss_that_is_not_finite_is_named(any_rate, tmp_path):
    wild = TrainingConfig(**{**vars(TRAINING), "pretrain_lr": 1e30})
    with pytest.raises(EcoformerError, match="^training pretrain: the loss is nan in step"):
        train(NETWORK, ATTENTION, wild, tmp_path)


def test_first_error_stops_the_parallel_runs(any_rate, tmp_path):
    wild = TrainingConfig(**{**vars(TRAINING), "tune_lrs": (1e30, 1e-3), "tune_epochs": 300})
    log = io.StringIO()
    with pytest.raises(EcoformerError, match=r"^training (ecoformer|softmax) lr 1e\+30: the loss"):
        train(NETWORK, ATTENTION, wild, tmp_path, LineProgress(log))
    assert "epoch 300/300" not in log.getvalue()


@pytest.mark.parametrize("field, value", [("image_size", 12), ("channels", 3), ("classes", 4)])
def test_network_that_does_not_fit_the_data_is_refused(field, value, tmp_path):
    network = NetworkConfig(**{**vars(NETWORK), field: value})
    with pytest.raises(EcoformerError, match=rf"^\[network\] {field} must be \d+ for the data"):
        train(network, ATTENTION, TRAINING, tmp_path)


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


@pytest.mark.parametrize(
    "field, value, error, text",
    [
        ("data", "cifar", ValueError, "^data must be 'mnist' or 'fashion' or 'cifar10' or"),
        ("data_path", 3, TypeError, "^data_path must be a string, not 3$"),
        ("batch", 0, ValueError, "^batch must be 1…1000000, not 0$"),
        ("tune_lrs", (), TypeError, r"^tune_lrs must be a list of numbers, not \(\)$"),
        ("tune_lrs", 1e-3, TypeError, "^tune_lrs must be a list of numbers, not 0.001$"),
        ("tune_lrs", ("a",), TypeError, "^each of tune_lrs must be a number, not 'a'$"),
        ("tune_lrs", (0.1, 0.1), ValueError, r"^tune_lrs must be different numbers, not \(0.1, "),
        ("label_smoothing", 1.5, ValueError, "^label_smoothing must be 0…1, not 1.5$"),
        ("hash_learner", "x", ValueError, "^hash_learner must be 'ksh' or 'released' or"),
        ("train_hash", 1, TypeError, "^train_hash must be true or false, not 1$"),
        ("hash_refresh", -1, ValueError, "^hash_refresh must be 0…1000000, not -1$"),
        ("hash_optimizer", "x", ValueError, "^optimizer must be 'sgd' or 'adam' or 'whi"),
    ],
)
def test_bad_config_is_refused(field, value, error, text):
    with pytest.raises(error, match=text):
        TrainingConfig(**{field: value})


def test_learner_that_does_not_know_separate_queries_is_refused(tmp_path):
    separate = replace(ATTENTION, queries="separate")
    with pytest.raises(EcoformerError, match=r"^\[training\] hash_learner must be 'output'"):
        train(NETWORK, separate, TRAINING, tmp_path)


def test_what_the_released_learner_does_not_know_is_refused(tmp_path):
    training = replace(TRAINING, hash_learner="released")
    with pytest.raises(EcoformerError, match="must not be 'released' with hash = 'linear': the re"):
        train(NETWORK, replace(ATTENTION, hash="linear"), training, tmp_path)
    with pytest.raises(EcoformerError, match="must not be 'released' with 5 anchors and 4 tokens"):
        train(NETWORK, replace(ATTENTION, anchors=5), training, tmp_path)


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


def test_orthogonal_rows_are_refused_where_tokens_are_not_seen(tmp_path):
    training = replace(TRAINING, hash_learner="orthogonal")
    with pytest.raises(EcoformerError, match="must not be 'orthogonal' with hash = 'rbf': it rota"):
        train(NETWORK, ATTENTION, training, tmp_path)
    separate = replace(ATTENTION, queries="separate")
    with pytest.raises(EcoformerError, match="must be 'output' or 'attention' with .*'network'; "):
        train(NETWORK, separate, replace(TRAINING, hash_learner="network"), tmp_path)


def test_learners_from_softmax_do_not_follow_the_limit(tmp_path):
    training = replace(TRAINING, limit_epochs=1, hash_learner="output")
    with pytest.raises(EcoformerError, match="hash_learner must be 'ksh' or .* with limit_epochs"):
        train(NETWORK, ATTENTION, training, tmp_path)
    with pytest.raises(ValueError, match="^each of controls must be 'mean' or 'none', not 'all'"):
        replace(TRAINING, controls=("all",))


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
