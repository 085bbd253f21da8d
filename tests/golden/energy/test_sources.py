# SPDX-License-Identifier: Apache-2.0
import json
from pathlib import Path

import pytest

from ecoformer.errors import EcoformerError
from ecoformer.golden.energy.named import NETWORKS
from ecoformer.golden.energy.shapes import Stage
from ecoformer.golden.energy.sources import find

ROOT = Path(__file__).parents[3]
STAGE = "[[stages]]\nwidth = 8\ndepth = 2\nheads = 2\n"


def write(folder, text, name="mine.toml"):
    path = folder / name
    path.write_text(text)
    return path


def test_names_in_any_case():
    assert find("pvtv2-b0").network is NETWORKS["PVTv2-B0"]
    assert (find("PVTv2-B0").code_bits, find("PVTv2-B0").anchors) == (16, 25)


def test_the_example_is_a_vision_transformer():
    network = find(ROOT / "examples" / "deit-small.toml").network
    layers = network.layers("softmax")
    assert network.name == "DeiT-small"
    assert sum(layer.name.endswith("attention") for layer in layers) == 12
    assert {layer.tokens for layer in layers} == {196, 1}


def test_toml_and_json_say_the_same(tmp_path):
    toml = write(tmp_path, "tokens = 9\n" + STAGE)
    text = json.dumps({"tokens": 9, "stages": [{"width": 8, "depth": 2, "heads": 2}]})
    assert find(toml).network == find(write(tmp_path, text, "mine.json")).network
    assert find(toml).network.name == "mine"
    assert find(toml).network.stages == (Stage(width=8, depth=2, heads=2),)


def test_a_configuration_brings_its_engine():
    pytest.importorskip("torch")
    source = find("demo")
    assert source.engine.parameter_sets == 8 and source.code_bits == 16
    assert source.network.image_size == 42
    assert [layer.tokens for layer in source.network.layers("softmax")][:-1] == [9] * (2 * 10 + 2)


def test_a_trained_model_brings_its_attention(tmp_path):
    pytest.importorskip("torch")
    from ecoformer.golden.networks.vit import save_model
    from tests.golden.small import make_images, make_model

    path = tmp_path / "model.pt"
    save_model(make_model(make_images(), frozen=False), path)
    source = find(path)
    assert (source.code_bits, source.anchors) == (12, 9)
    assert source.network.image_size == 16 and source.network.stages[0].heads == 3


def test_an_imported_network_is_counted_from_its_modules(tmp_path):
    pytest.importorskip("torch")
    from ecoformer.golden.attention_config import AttentionConfig
    from ecoformer.golden.networks.pyramid import make_pyramid
    from ecoformer.golden.networks.pyramid_file import save_pyramid
    from tests.golden.networks.test_pyramid import SMALL

    path = tmp_path / "network.pt"
    save_pyramid(make_pyramid(SMALL, AttentionConfig(code_bits=6, anchors=7)), path)
    source = find(path)
    assert (source.code_bits, source.anchors) == (6, 7)
    assert (source.network.name, source.network.config) == ("network", SMALL)
    assert len(source.network.resized(64).layers("ecoformer")) > 40


@pytest.mark.parametrize(
    "text, words",
    [
        ("tokens = 9", "stages must be a list of tables"),
        ("tokens = 9\nstages = [1]", "stages must be a list of tables"),
        ("tokens = 9\nstages = []", "at least one stage"),
        (STAGE, "image_size or tokens must be given"),
        ("token = 9\n" + STAGE, "unknown key: token; known: name, stages"),
        ("tokens = 9\n" + STAGE + "hats = 2", "[[stages]] 1: unknown key: hats; known: width"),
        ("tokens = 9\n" + STAGE + STAGE.replace("2\n", "3\n"), "[[stages]] 2: heads must divide"),
        ("tokens = 9\n[[stages]]\nwidth = 8", "[[stages]] 1: missing 2 required"),
        ("tokens = 'x'\n" + STAGE, "tokens must be an integer, not 'x'"),
        ("name = 3\ntokens = 9\n" + STAGE, "name must be a string, not 3"),
        ("tokens = ", "not a TOML file"),
        ("[engine]\nhead_dim = 3", "a configuration without a table [network]"),
    ],
)
def test_bad_shape_files_are_refused(tmp_path, text, words):
    path = write(tmp_path, text)
    with pytest.raises(EcoformerError) as error:
        find(path)
    assert str(path) in str(error.value) and words in str(error.value)


def test_bad_json_and_unknown_names_are_refused(tmp_path):
    for text, words in (("{", "not a JSON file"), ("[]", "must hold an object with stages")):
        with pytest.raises(EcoformerError, match=words):
            find(write(tmp_path, text, "mine.json"))
    with pytest.raises(EcoformerError, match="resnet: unknown network; known: PVTv2-B0, "):
        find("resnet")
    with pytest.raises(EcoformerError, match="gone.toml: no such file"):
        find(tmp_path / "gone.toml")
