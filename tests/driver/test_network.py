# SPDX-License-Identifier: Apache-2.0
"""A network whose every attention runs through the serial pins of a board.

`benchmarks.boards` is the same with a trained network and a thousand images.
"""

import torch

from ecoformer.cli.generate import generate
from ecoformer.golden.integer.engine import IntegerEngine
from ecoformer.golden.learn.data import Split
from ecoformer.golden.quantize.calibration import calibrate
from ecoformer.golden.quantize.device import DeviceEngine
from ecoformer.golden.quantize.evaluation import CheckedEngine, predict_in_integers
from tests.driver.conftest import Made
from tests.golden.small import CONFIG, make_images, make_model, make_tape

IMAGES = 4


def test_predictions_are_those_of_the_integer_model(builds, tmp_path):
    images = make_images()
    model = make_model(images)
    image = calibrate(CONFIG, model.attention_layers(), make_tape(model, images))
    part = Split(images[:IMAGES], torch.zeros(IMAGES))
    image.save(tmp_path / "parameters", CONFIG)
    (tmp_path / "config.toml").write_text(CONFIG.as_toml())
    generate(tmp_path / "config.toml", tmp_path / "parameters", tmp_path / "engine")
    made = Made(CONFIG, tmp_path / "engine", image)
    with made.device(made.board(builds)) as device:
        device.load()
        checked = CheckedEngine(CONFIG, image, DeviceEngine(device))
        got = predict_in_integers(CONFIG, model, image, checked, part)
        assert device.counters()["SEQUENCES"] == IMAGES * 2 * 3
    want = predict_in_integers(CONFIG, model, image, IntegerEngine(CONFIG, image), part)
    assert torch.equal(got, want) and not checked.mismatches
    assert checked.words == IMAGES * 2 * 16 * 24
