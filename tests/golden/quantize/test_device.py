# SPDX-License-Identifier: Apache-2.0
"""A device in a network: the same numbers as the integer model there."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ecoformer.errors import EcoformerError
from ecoformer.golden.integer.attention import attend
from ecoformer.golden.integer.engine import IntegerEngine
from ecoformer.golden.learn.data import Split
from ecoformer.golden.quantize.calibration import calibrate
from ecoformer.golden.quantize.device import DeviceAttention, DeviceEngine
from ecoformer.golden.quantize.evaluation import recorded_workload
from ecoformer.golden.quantize.inference import EngineAttention
from ecoformer.spec.workload import Workload
from tests.golden.small import CONFIG, make_images, make_model, make_tape


class Device:
    """Answers as hardware does, in order."""

    def __init__(self, config, image):
        self.config, self.image = config, image

    def answer(self, sequences):
        for index, tokens, values in sequences:
            yield attend(self.config, self.image, index, tokens, values)[0]


@pytest.mark.parametrize("queries", ["shared", "separate"])
def test_a_module_around_a_device(queries):
    images = make_images()
    model, config = make_model(images, queries=queries), replace(CONFIG, queries=queries)
    layers, tape = model.attention_layers(), make_tape(model, images)
    image = calibrate(config, layers, tape)
    host = EngineAttention(config, image, layers, IntegerEngine(config, image))
    for layer, (call,) in zip(layers, tape):
        sets = host.packing.numbers[layer.layer]
        module = DeviceAttention(config, image, Device(config, image), sets)
        got = module(call.q, call.k, call.v)
        torch.testing.assert_close(
            got, host(layer.layer, call.q, call.k, call.v), rtol=0, atol=0
        )
        assert got.dtype == torch.float32 and not list(module.parameters())


def test_an_engine_around_a_device():
    images = make_images()
    model = make_model(images)
    image = calibrate(CONFIG, model.attention_layers(), make_tape(model, images))
    part = Split(images, torch.zeros(len(images), dtype=torch.int64))
    workload = recorded_workload(CONFIG, model, image, part)
    got = DeviceEngine(Device(CONFIG, image)).attend(workload)
    for result, expected in zip(got, IntegerEngine(CONFIG, image).attend(workload), strict=True):
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("changes", [
    {"begins": np.array([1, 0])},
    {"queries": np.zeros((2, 8), np.int64), "query_lengths": np.array([1, 1])},
])
def test_what_drivers_do_not_send_is_refused(changes):
    zeros = np.zeros((2, 8), np.int64)
    workload = Workload(
        sets=np.zeros(2, np.int64), lengths=np.array([1, 1]), tokens=zeros, values=zeros, **changes
    )
    with pytest.raises(EcoformerError, match="^device: drivers send whole sequences with their"):
        DeviceEngine(Device(CONFIG, None)).attend(workload)
