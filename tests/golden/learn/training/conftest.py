# SPDX-License-Identifier: Apache-2.0
import pytest

from ecoformer.golden.learn import data
from ecoformer.golden.learn.train import train
from tests.golden.learn.training.tiny import ATTENTION, NETWORK, TRAINING, bar_data


@pytest.fixture(autouse=True)
def tiny_data(monkeypatch):
    parts = bar_data()
    monkeypatch.setattr(data, "load", lambda name, path, seed: parts)
    return parts


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """Folder and metrics of one uninterrupted run."""
    out = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", lambda name, path, seed: bar_data())
        return out, train(NETWORK, ATTENTION, TRAINING, out)
