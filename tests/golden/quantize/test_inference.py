# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest
import torch

from ecoformer.golden.attention import linear_attention
from ecoformer.golden.integer.attention import attend
from ecoformer.golden.integer.engine import IntegerEngine
from ecoformer.golden.learn.data import Split
from ecoformer.golden.learn.fit import predict
from ecoformer.golden.quantize.calibration import calibrate
from ecoformer.golden.quantize.evaluation import (
    CheckedEngine,
    predict_in_integers,
    recorded_workload,
)
from ecoformer.golden.quantize.inference import EngineAttention, override_attention
from ecoformer.golden.recording import Call
from tests.golden.small import CONFIG, make_images, make_model, make_tape


@pytest.fixture(scope="module")
def images():
    return make_images()


@pytest.fixture(scope="module")
def model(images):
    return make_model(images)


@pytest.fixture(scope="module")
def image(model, images):
    return calibrate(CONFIG, model.attention_layers(), make_tape(model, images))


def test_integer_attention_is_close_to_float(model, images, image):
    layers = model.attention_layers()
    host = EngineAttention(CONFIG, image, layers, IntegerEngine(CONFIG, image))
    call = make_tape(model, images)[0][0]
    with override_attention(layers, host), torch.inference_mode():
        assert layers[0].override is host
        integer = host(0, call.q, call.k, call.v)
    assert layers[0].override is None
    with torch.inference_mode():
        want = linear_attention(layers[0].hash(call.k), call.v, layers[0].offset)
    assert (integer - want).square().mean().sqrt() < 0.06 * want.square().mean().sqrt()


def test_engine_groups_sequences_without_changing_them(model, images, image):
    workload = recorded_workload(CONFIG, model, image, Split(images, torch.zeros(24)))
    outputs = IntegerEngine(CONFIG, image).attend(workload)
    assert len(outputs) == len(workload) == 6
    for (index, tokens, values), output in zip(workload.sequences(), outputs):
        np.testing.assert_array_equal(output, attend(CONFIG, image, index, tokens, values)[0])


def test_packets_go_image_by_image_and_head_by_head(model, image):
    x = torch.randn(2, 3, 16, 8, generator=torch.Generator().manual_seed(1))
    host = EngineAttention(CONFIG, image, model.attention_layers(), None)
    workload = host.workload(1, Call(x, x, x))
    assert workload.sets.tolist() == [3, 4, 5, 3, 4, 5]
    assert (workload.lengths == 16).all()


def test_a_network_with_separate_queries_runs_on_an_engine_for_them(images):
    model = make_model(images, queries="separate")
    config = replace(CONFIG, queries="separate")
    image = calibrate(config, model.attention_layers(), make_tape(model, images))
    part = Split(images, torch.zeros(24))
    recorded = recorded_workload(config, model, image, part)
    recorded.check(config)
    assert recorded.sets.tolist() == [*range(6)] and recorded.tokens.shape == (6 * 16, 2 * 8)
    checked = CheckedEngine(config, image, IntegerEngine(config, image))
    labels = predict_in_integers(config, model, image, checked, part)
    assert checked.words == 24 * 16 * 24 * 2 and not checked.mismatches
    assert (labels == predict(model, images)).double().mean() > 0.9


class Faulty:
    """The integer model with one wrong word per call."""

    def __init__(self, engine):
        self.engine = engine

    def attend(self, workload):
        outputs = [output.copy() for output in self.engine.attend(workload)]
        outputs[1][2, 3] += 1
        return outputs


def test_checked_engine_counts_every_wrong_word(model, images, image):
    part = Split(images, torch.zeros(24))
    checked = CheckedEngine(CONFIG, image, IntegerEngine(CONFIG, image))
    labels = predict_in_integers(CONFIG, model, image, checked, part)
    assert checked.mismatches == 0
    assert checked.words == 24 * 16 * 24 * 2
    assert checked.sequences == 24 * 6
    assert (labels == predict(model, images)).double().mean() > 0.9
    faulty = CheckedEngine(CONFIG, image, Faulty(IntegerEngine(CONFIG, image)))
    predict_in_integers(CONFIG, model, image, faulty, part)
    assert faulty.mismatches == 2
