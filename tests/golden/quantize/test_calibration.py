# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest
import torch

from ecoformer.errors import EcoformerError
from ecoformer.golden.attention import EcoFormerAttention
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.integer.engine import IntegerEngine
from ecoformer.golden.learn.distill import start_hashes
from ecoformer.golden.networks.vit import VisionTransformer
from ecoformer.golden.quantize.calibration import (
    calibrate,
    check_layers,
    code_disagreement,
    set_numbers,
)
from ecoformer.golden.quantize.inference import (
    EngineAttention,
    override_attention,
)
from ecoformer.golden.recording import Call
from ecoformer.spec.config import Config
from tests.golden.small import CONFIG, NETWORK, make_images, make_model, make_tape


@pytest.fixture(scope="module")
def images():
    return make_images()


@pytest.fixture(scope="module")
def model(images):
    return make_model(images)


def calibrated(model, images, config=CONFIG):
    return calibrate(config, model.attention_layers(), make_tape(model, images))


def disagreement(model, image, images):
    rates = code_disagreement(CONFIG, model.attention_layers(), image, make_tape(model, images))
    return np.array(rates)


def test_one_percent_of_code_bits_differ_at_most(model, images):
    image = calibrated(model, images[:12])
    rates = disagreement(model, image, images[12:])
    assert rates.shape == (2, 3)
    assert rates.max() < 0.01
    # The measure can fail: one wrong shift is seen.
    image.shift[4] += 2
    assert disagreement(model, image, images[12:])[1, 1] > 0.02


def test_sets_are_numbered_layer_by_layer(model, images):
    image = calibrated(model, images)
    numbers = set_numbers(model.attention_layers())
    assert [number.tolist() for number in numbers] == [[0, 1, 2], [3, 4, 5]]
    layers = [EcoFormerAttention(heads, 8, AttentionConfig(code_bits=4)) for heads in (1, 2)]
    assert [number.tolist() for number in set_numbers(layers)] == [[0], [1, 2]]
    anchors = model.attention_layers()[1].hash.anchors[2].numpy()
    found = image.anchors[5]
    cosine = (anchors * found).sum(1) / np.linalg.norm(found, axis=1)
    assert cosine.min() > 0.999


def test_weights_use_their_range(model, images):
    image = calibrated(model, images)
    np.testing.assert_array_equal(np.abs(image.projection).max(axis=2), 127)
    largest = np.abs(image.anchors).max(axis=(1, 2))
    assert ((largest > 63) & (largest <= 127)).all()


@pytest.mark.parametrize("fraction", [0, 3])
def test_offset_is_in_fixed_point(model, images, fraction):
    config = replace(CONFIG, offset_fraction=fraction)
    assert (calibrated(model, images, config).offset == 13 << fraction).all()


def test_sigma_per_sequence_is_refused(images):
    with pytest.raises(EcoformerError, match="σ is still computed per sequence"):
        check_layers(CONFIG, make_model(images, frozen=False).attention_layers())


@pytest.mark.parametrize(
    "values", [{"weights": "float"}, {"tie": "zero"}, {"bandwidth": "per-sequence"}]
)
def test_what_only_float_attention_has_is_refused_with_the_reason(values):
    (name, value), = values.items()
    attention = AttentionConfig(code_bits=12, anchors=9, **values)
    with pytest.raises(EcoformerError, match=rf"\[attention\] {name} must not be '{value}' for ha"):
        check_layers(CONFIG, VisionTransformer(NETWORK, attention).attention_layers())


def test_softmax_is_refused():
    with pytest.raises(EcoformerError, match="softmax attention"):
        check_layers(CONFIG, VisionTransformer(NETWORK).attention_layers())


@pytest.mark.parametrize(
    "field, value",
    [
        ("head_dim", 4), ("value_dim", 4), ("code_bits", 8), ("anchors", 5), ("max_tokens", 15),
        ("parameter_sets", 5),
    ],
)
def test_another_shape_is_refused(model, images, field, value):
    config = replace(CONFIG, **{field: value})
    with pytest.raises(EcoformerError, match=rf"\[engine\] {field} must be .*, not {value};"):
        calibrated(model, images, config)


def test_collapsed_tokens_are_refused(images):
    model = make_model(images)
    model.attention_layers()[0].hash.sigma.fill_(1e-4)
    with pytest.raises(EcoformerError, match="collapsed"):
        calibrated(model, images)


FAMILY = dict(code_bits=12, anchors=9)
"""Shape of the attention in the tests of all families; 3 heads of 8 elements."""


def family_layers(seed=0, **attention):
    """Two layers with calibrated random hashes, and what they saw, padding included."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = AttentionConfig(**FAMILY, **attention)
        layers = [EcoFormerAttention(3, 8, config, layer=i) for i in range(2)]
    keys = torch.arange(14) < torch.tensor([[14], [9], [3]])
    tape = []
    for layer in layers:
        k, q, v = torch.randn(3, 3, 3, 14, 8, generator=generator) * torch.tensor(3.0)
        q = k if config.queries == "shared" else 5 * q  # a range of its own
        call = Call(q, k, v, keys)
        start_hashes(layer, [call], generator)
        tape.append([call])
    return layers, tape


def family_config(layers):
    attention = layers[0].config
    shared = {name: getattr(attention, name) for name in ("hash", "weights", "queries", *FAMILY)}
    return Config(head_dim=8, value_dim=8, max_tokens=16, parameter_sets=6, **shared)


@pytest.mark.parametrize("queries", ["shared", "separate"])
@pytest.mark.parametrize("weights", ["int8", "pow2", "ternary"])
@pytest.mark.parametrize("hash, normalise", [
    ("rbf", False), ("linear", False), ("linear", True), ("hadamard", False), ("hadamard", True),
])
def test_every_family_keeps_its_codes_and_outputs_in_integers(hash, normalise, weights, queries):
    layers, tape = family_layers(hash=hash, normalise=normalise, weights=weights, queries=queries)
    config = family_config(layers)
    image = calibrate(config, layers, tape)
    assert image.sets == 6
    for side in config.sides.all:
        assert (image.side(side).token_scale > 0).all() == (hash != "rbf")
        assert (image.side(side).unit_tokens == normalise).all()
    if hash != "rbf" and queries == "separate" and not normalise:
        assert (image.query_token_scale > 2 * image.token_scale).all()
    # Rounded tokens flip bits near a threshold; random thresholds lie where tokens are densest.
    assert np.mean(code_disagreement(config, layers, image, tape)) < 0.02
    host = EngineAttention(config, image, layers, IntegerEngine(config, image))
    for layer, (call,) in zip(layers, tape):
        with override_attention([layer], host), torch.inference_mode():
            integer = layer(call.q, call.k, call.v, call.key_mask)
        with torch.inference_mode():
            want = layer(call.q, call.k, call.v, call.key_mask)
        there = call.key_mask[:, None, :, None]
        error = ((integer - want) * there).square().sum() / (want * there).square().sum()
        assert error < 0.05
    for side in config.sides.all:  # the measure can fail
        wrong = calibrate(config, layers, tape)
        wrong.side(side).threshold[3] += 10_000
        assert np.max(code_disagreement(config, layers, wrong, tape)) > 0.1


def test_separate_queries_travel_with_their_keys():
    layers, ((call,), _) = family_layers(hash="linear", queries="separate")
    config = family_config(layers)
    image = calibrate(config, layers, [[call], [call]])
    workload = EngineAttention(config, image, layers, None).workload(1, call)
    assert workload.sets.tolist() == 3 * [3, 4, 5]
    assert workload.lengths.tolist() == [*3 * [14], *3 * [9], *3 * [3]]
    _, tokens, _ = list(workload.sequences())[4]
    for side, part, x in zip(config.sides.all, config.sides.split(tokens), (call.q, call.k)):
        scale = image.side(side).token_scale[4]
        np.testing.assert_allclose(scale * part, x[1, 1, :9], atol=scale / 2 + 1e-6)


@pytest.mark.parametrize("field, value", [("hash", "rbf"), ("weights", "ternary")])
def test_another_family_is_refused(field, value):
    layers, tape = family_layers(hash="linear")
    config = replace(family_config(layers), **{field: value})
    with pytest.raises(EcoformerError, match=rf"\[engine\] {field} must be .*, not '{value}';"):
        calibrate(config, layers, tape)


def test_layers_of_different_attention_are_refused():
    layers, _ = family_layers(hash="linear")
    other, _ = family_layers(hash="linear", weights="pow2")
    with pytest.raises(EcoformerError, match="layers have different attention"):
        check_layers(family_config(layers), [layers[0], other[1]])
