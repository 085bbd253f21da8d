# SPDX-License-Identifier: Apache-2.0
"""A network whose every attention runs on a device: through the serial pins of a board, over a DMA.

`benchmarks.boards` is the first with a trained network and a thousand images.
"""

from dataclasses import replace

import pytest
import torch

from ecoformer.cli.generate import generate
from ecoformer.driver.device import Device
from ecoformer.golden.integer.engine import IntegerEngine
from ecoformer.golden.learn import data as datasets
from ecoformer.golden.learn.data import Split
from ecoformer.golden.quantize.calibration import calibrate
from ecoformer.golden.quantize.device import DeviceEngine
from ecoformer.golden.quantize.evaluation import CheckedEngine, predict_in_integers
from tests.driver.conftest import Made
from tests.driver.test_dma import over_dma
from tests.golden.small import CONFIG, make_model, make_tape

IMAGES = 4


def digits():
    """The middle of real digits."""
    return datasets.load().held_out.images[: 6 * IMAGES, :, 6:22, 6:22].contiguous()


@pytest.mark.parametrize("way", ["board", "AxiDma", "PynqDma"])
def test_predictions_are_those_of_the_integer_model(way, builds, tmp_path):
    config = CONFIG if way == "board" else replace(CONFIG, tuser_width=0)
    images = digits()
    model = make_model(images)
    image = calibrate(config, model.attention_layers(), make_tape(model, images))
    part = Split(images[:IMAGES], torch.zeros(IMAGES))
    image.save(tmp_path / "parameters", config)
    (tmp_path / "config.toml").write_text(config.as_toml())
    generate(tmp_path / "config.toml", tmp_path / "parameters", tmp_path / "engine")
    made = Made(config, tmp_path / "engine", image)
    device = (
        made.device(made.board(builds)) if way == "board"
        else Device(made.folder, over_dma(way, config, builds))
    )
    with device:
        device.load()
        checked = CheckedEngine(config, image, DeviceEngine(device))
        got = predict_in_integers(config, model, image, checked, part)
        assert device.counters()["SEQUENCES"] == IMAGES * 2 * 3
    want = predict_in_integers(config, model, image, IntegerEngine(config, image), part)
    assert torch.equal(got, want) and not checked.mismatches
    assert checked.words == IMAGES * 2 * 16 * 24
