import numpy as np
import pytest

from ecoformer.config import Config
from ecoformer.errors import EcoformerError
from golden.attention import AttentionConfig, EcoFormerAttention
from golden.calibration import calibrate, check_layers, code_disagreement, set_numbers
from golden.network import VisionTransformer
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
    assert [number.tolist() for number in numbers] == [[[0], [1], [2]], [[3], [4], [5]]]
    separate = AttentionConfig(code_bits=4, queries="separate")
    layers = [EcoFormerAttention(heads, 8, separate) for heads in (1, 2)]
    assert [number.tolist() for number in set_numbers(layers)] == [[[0, 1]], [[2, 3], [4, 5]]]
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
    config = Config(**{**vars(CONFIG), "offset_fraction": fraction})
    assert (calibrated(model, images, config).offset == 13 << fraction).all()


def test_sigma_per_sequence_is_refused(images):
    with pytest.raises(EcoformerError, match="σ is still computed per sequence"):
        check_layers(CONFIG, make_model(images, frozen=False).attention_layers())


def test_softmax_is_refused():
    with pytest.raises(EcoformerError, match="softmax attention"):
        check_layers(CONFIG, VisionTransformer(NETWORK).attention_layers())


@pytest.mark.parametrize(
    "field, value",
    [
        ("head_dim", 4), ("value_dim", 4), ("code_bits", 8), ("anchors", 5), ("max_tokens", 15),
        ("parameter_sets", 5),
    ],
)  # fmt: skip
def test_another_shape_is_refused(model, images, field, value):
    config = Config(**{**vars(CONFIG), field: value})
    with pytest.raises(EcoformerError, match=rf"\[engine\] {field} must be .*, not {value};"):
        calibrated(model, images, config)


def test_collapsed_tokens_are_refused(images):
    model = make_model(images)
    model.attention_layers()[0].hash.sigma.fill_(1e-4)
    with pytest.raises(EcoformerError, match="collapsed"):
        calibrated(model, images)
