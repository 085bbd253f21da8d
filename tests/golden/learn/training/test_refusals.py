# SPDX-License-Identifier: Apache-2.0
import io
import math
from dataclasses import replace

import pytest

from ecoformer.errors import EcoformerError
from ecoformer.golden.learn import recipe
from ecoformer.golden.learn.recipe import TrainingConfig
from ecoformer.golden.learn.train import train
from ecoformer.golden.networks.vit import NetworkConfig
from ecoformer.progress import LineProgress
from tests.golden.learn.training.tiny import ATTENTION, NETWORK, TRAINING


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
