# SPDX-License-Identifier: Apache-2.0
import json
import math
from copy import deepcopy

import pytest
import torch

from ecoformer.errors import EcoformerError
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.files import state_digest, torch_bytes
from ecoformer.golden.networks import model_file
from ecoformer.golden.networks.blocks import PatchConvolution
from ecoformer.golden.networks.vit import (
    NetworkConfig,
    VisionTransformer,
    load_model,
    save_model,
)
from tests.golden.small import make_tape

SMALL = NetworkConfig(image_size=8, patch=2, width=8, heads=2, depth=3, classes=4)
ATTENTION = AttentionConfig(code_bits=6, anchors=5)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture
def images():
    return torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8)


@pytest.mark.parametrize("attention", [None, ATTENTION], ids=["softmax", "ecoformer"])
@pytest.mark.parametrize("patch, width, heads, depth", [(1, 6, 3, 1), (4, 8, 1, 2), (8, 4, 4, 1)])
def test_shapes(patch, width, heads, depth, attention):
    config = NetworkConfig(
        image_size=8, channels=3, patch=patch, width=width, heads=heads, depth=depth, classes=7,
        mlp_convolution=depth == 2,
    )
    model = VisionTransformer(config, attention)
    images = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    assert model(images).shape == (2, 7)
    tape = make_tape(model, images)
    assert len(tape) == depth
    for (call,) in tape:
        assert call.k.shape == call.v.shape == (2, heads, config.tokens, config.head_dim)
    assert config.tokens == (8 // patch) ** 2


@pytest.mark.parametrize("patch, widths", [(2, [10]), (4, [5, 10]), (8, [3, 5, 10])])
def test_a_stem_of_convolutions_ends_with_as_many_tokens(patch, widths):
    config = NetworkConfig(image_size=16, patch=patch, stem="convolutions", width=10, depth=1)
    model = VisionTransformer(config)
    assert config.stem_widths == widths
    assert [c.out_channels for c in model.to_tokens if hasattr(c, "out_channels")] == widths
    images = torch.randint(0, 256, (2, 1, 16, 16), dtype=torch.uint8)
    (call,), = make_tape(model, images)
    assert call.k.shape[2] == config.tokens == (16 // patch) ** 2


@pytest.mark.parametrize("patch", [1, 7, 14])
def test_a_stem_of_convolutions_needs_halvings(patch):
    with pytest.raises(ValueError, match=r"^patch must be 2, 4, 8, … with stem = 'convolutions'"):
        NetworkConfig(patch=patch, stem="convolutions")


def test_default_has_the_documented_size():
    config = NetworkConfig()
    assert (config.tokens, config.head_dim) == (49, 32)
    assert len(VisionTransformer(config).attention_layers()) == 4


def test_patch_convolution_mixes_neighbours_of_one_channel():
    layer = PatchConvolution(2)
    torch.nn.init.zeros_(layer.convolution.bias)
    tokens = torch.zeros(1, 25, 2)
    tokens[0, 7, 1] = 1.0  # row 1, column 2
    mixed = layer(tokens).unflatten(1, (5, 5))
    assert mixed[..., 0].abs().max() == 0
    kernel = layer.convolution.weight[1, 0].flip(0, 1)
    torch.testing.assert_close(mixed[0, 0:3, 1:4, 1], kernel)
    assert mixed[0, 3:].abs().max() == 0 and mixed[0, :, 4].abs().max() == 0


def test_layers_are_numbered(images):
    model = VisionTransformer(SMALL)
    assert [layer.layer for layer in model.attention_layers()] == [0, 1, 2]


def test_swap_keeps_every_weight_and_shares_q(images):
    model = VisionTransformer(SMALL)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    swapped = deepcopy(model)
    swapped.replace_attention(ATTENTION)
    for name, value in swapped.state_dict().items():
        if ".core." not in name:
            assert torch.equal(value, before[name.replace(".to_qk.", ".to_q.")])
    new, old = (make_tape(network, images)[0][0] for network in (swapped, model))
    for before_core, after_core in ((old.q, new.q), (old.q, new.k), (old.v, new.v)):
        torch.testing.assert_close(before_core, after_core)
    for parameter in swapped.parameters():
        parameter.data.zero_()
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_swap_of_an_ecoformer_is_refused():
    with pytest.raises(ValueError, match="^model must have softmax attention"):
        VisionTransformer(SMALL, ATTENTION).replace_attention(ATTENTION)


def test_core_runs_inside_the_network(images):
    model = VisionTransformer(SMALL, ATTENTION).eval()
    seen = []

    def engine(layer, q, k, v, keys):
        seen.append(layer)
        return v

    for layer in model.attention_layers():
        layer.override = engine
    model(images)
    assert seen == [0, 1, 2]


@pytest.mark.parametrize("attention", [None, ATTENTION], ids=["softmax", "ecoformer"])
def test_file_gives_the_same_network(attention, images, tmp_path):
    model = VisionTransformer(SMALL, attention).eval()
    if attention:
        model.attention_layers()[1].hash.calibrate(make_tape(model, images)[1][0].k)
    save_model(model, tmp_path / "a.pt")
    save_model(model, tmp_path / "b.pt")
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pt", "b.pt"]
    loaded = load_model(tmp_path / "a.pt")
    assert not loaded.training
    assert (loaded.config, loaded.attention_config) == (SMALL, attention)
    assert torch.equal(loaded(images), model(images))


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(EcoformerError, match="none.pt: no such model file; make one with 'train'$"):
        load_model(tmp_path / "none.pt")


@pytest.mark.parametrize("keep", [0, 10, 0.5, -1])
def test_cut_file_is_refused(keep, tmp_path):
    path = tmp_path / "model.pt"
    save_model(VisionTransformer(SMALL), path)
    raw = path.read_bytes()
    path.write_bytes(raw[: int(keep * len(raw)) if isinstance(keep, float) else keep])
    with pytest.raises(EcoformerError, match="damaged model file .*; train again$"):
        load_model(path)


def test_one_changed_weight_is_refused(tmp_path):
    path = tmp_path / "model.pt"
    model = VisionTransformer(SMALL)
    save_model(model, path)
    raw = path.read_bytes()
    weight = model.classifier.weight.detach().numpy().tobytes()
    at = raw.index(weight)
    path.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
    with pytest.raises(EcoformerError, match="damaged model file"):
        load_model(path)


@pytest.mark.parametrize(
    "content",
    [
        [1, 2],
        {"state": {}},
        {"config": "not json", "state": {}, "sha256": ""},
        {"config": json.dumps({"network": {"depth": 0}, "attention": None}), "state": {}},
        {"config": json.dumps({"network": {"new": 1}, "attention": None}), "state": {}},
        {"config": json.dumps({"network": {}, "attention": None}), "state": {}, "sha256": ""},
    ],
)
def test_other_torch_files_are_refused(content, tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(torch_bytes(content))
    with pytest.raises(EcoformerError, match="not a model file"):
        load_model(path)


@pytest.mark.parametrize(
    "field, value, error, text",
    [
        ("patch", 5, ValueError, "^patch must divide image_size = 28, not be 5$"),
        ("heads", 3, ValueError, "^heads must divide width = 64, not be 3$"),
        ("stem", "pool", ValueError, "^stem must be 'patches' or 'convolutions', not 'pool'$"),
        ("depth", 0, ValueError, "^depth must be 1…1000, not 0$"),
        ("mlp_convolution", 1, TypeError, "^mlp_convolution must be true or false, not 1$"),
        ("width", 64.0, TypeError, "^width must be an integer, not 64.0$"),
    ],
)
def test_bad_config_is_refused(field, value, error, text):
    with pytest.raises(error, match=text):
        NetworkConfig(**{field: value})


def resealed(path, change):
    """The model file at ``path`` again, changed on purpose, with checksums that fit."""
    content = torch.load(path)
    change(content)
    content["sha256"] = state_digest(content["state"])
    path.write_bytes(torch_bytes(content))


def set_shape(content, table, name, value):
    config = json.loads(content["config"])
    config[table][name] = value
    content["config"] = json.dumps(config)


@pytest.mark.parametrize(
    "change, why",
    [
        (lambda c: c["state"].pop("norm.bias"), "tensor norm.bias is missing"),
        (lambda c: c["state"].update(extra=torch.ones(1)), "tensor extra is unknown"),
        (lambda c: c["state"].update({"norm.bias": torch.ones(3)}), "tensor norm.bias must be"),
        (lambda c: c["state"]["norm.bias"].fill_(math.nan), "state.norm.bias holds numbers"),
        (lambda c: c["state"]["position"].fill_(math.inf), "state.position holds numbers"),
        (lambda c: set_shape(c, "network", "width", 8_192), "must make at most 100,000,000 wei"),
        (lambda c: set_shape(c, "network", "depth", 10**30), "depth must be 1…1000, not 10"),
        (lambda c: set_shape(c, "attention", "anchors", 8_192), "hashes must have at most"),
        (lambda c: c.update(config="[" * 100_000), "nested too deeply"),
    ],
)
def test_a_file_that_does_not_fit_itself_is_refused(tmp_path, monkeypatch, change, why):
    path = tmp_path / "model.pt"
    save_model(VisionTransformer(SMALL, AttentionConfig(code_bits=4, anchors=3)), path)
    load_model(path)
    resealed(path, change)
    if "hashes" in why:
        monkeypatch.setattr(model_file, "MOST_WEIGHTS", 20_000)
    with pytest.raises(EcoformerError) as error:
        load_model(path)
    assert why in str(error.value) and str(path) in str(error.value)
