# SPDX-License-Identifier: Apache-2.0
import csv
import io
import json
import shutil
from dataclasses import replace

import pytest
import torch

from ecoformer.errors import EcoformerError
from ecoformer.golden.files import torch_bytes
from ecoformer.golden.learn import data
from ecoformer.golden.learn.fit import accuracy
from ecoformer.golden.learn.recipe import TrainingConfig
from ecoformer.golden.learn.train import train
from ecoformer.golden.networks.vit import load_model
from ecoformer.progress import LineProgress, Progress
from tests.golden.learn.stopping import StopAfter
from tests.golden.learn.training.tiny import ATTENTION, NETWORK, TRAINING


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


def test_finished_run_is_not_repeated(tmp_path):
    train(NETWORK, ATTENTION, TRAINING, tmp_path)
    log = io.StringIO()
    train(NETWORK, ATTENTION, TRAINING, tmp_path, LineProgress(log))
    assert "epoch" not in log.getvalue()
    train(NETWORK, ATTENTION, TRAINING, tmp_path, LineProgress(log), resume=False)
    assert log.getvalue().count("epoch") == 3 + 2 * 2 * 2


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
