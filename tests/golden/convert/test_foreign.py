# SPDX-License-Identifier: Apache-2.0
"""What a folder of a transformers model can and cannot make the product do."""

import json
import pickle
import shutil
import socket
import sys

import pytest
import torch

from ecoformer.errors import EcoformerError
from ecoformer.golden.convert.foreign import load_pretrained, load_tokenizer

transformers = pytest.importorskip("transformers")
from safetensors.torch import load_file, save_file  # noqa: E402

WORDS = "the a cat dog".split()


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert")
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS]))
    transformers.BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    transformers.BertModel(transformers.BertConfig(
        vocab_size=8, max_position_embeddings=16, hidden_size=8, num_hidden_layers=1,
        num_attention_heads=2, intermediate_size=8,
    )).save_pretrained(folder)
    return folder


@pytest.fixture
def folder(original, tmp_path, monkeypatch):
    """A copy of a whole folder, on a machine without network and without a keyboard."""
    def refuse(*_, **__):
        raise AssertionError("not offline")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(sys, "stdin", None)
    return shutil.copytree(original, tmp_path / "model")


def configure(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refusal(folder, load=load_pretrained):
    with pytest.raises(EcoformerError) as error:
        load(folder)
    assert str(error.value).startswith(str(folder)) and "\n" not in str(error.value)
    return str(error.value)


def test_a_whole_folder_loads_offline(folder):
    assert not load_pretrained(folder).training
    assert load_tokenizer(folder)("the cat")["input_ids"]


@pytest.mark.parametrize(
    "name", ["encoder.layer.0.attention.self.query.weight", "pooler.dense.bias"]
)
def test_a_missing_tensor_is_named(folder, name):
    tensors = load_file(folder / "model.safetensors")
    del tensors[name]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    assert f"tensor {name} of the model is missing" in refusal(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_named(folder, value):
    tensors = load_file(folder / "model.safetensors")
    tensors["pooler.dense.bias"][3] = value
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    assert "tensor pooler.dense.bias holds numbers that are not finite" in refusal(folder)


def test_a_missing_tokenizer_is_named(folder):
    for path in folder.glob("*"):
        if path.name not in ("config.json", "model.safetensors"):
            path.unlink()
    assert "no tokenizer (tokenizer.json" in refusal(folder, load_tokenizer)


@pytest.mark.parametrize(
    "changes, why",
    [
        ({"num_hidden_layers": 10**9}, "num_hidden_layers must be 0…1,000"),
        ({"hidden_size": 10**6, "num_attention_heads": 2}, "bytes are too few"),
        ({"vocab_size": 10**9}, "bytes are too few"),
        ({"hidden_size": "8"}, "cannot load the model"),
        ({"num_attention_heads": 0}, "cannot load the model"),
        ({"model_type": "nonsense"}, "cannot load the model"),
        ({"auto_map": {"AutoModel": "evil.Model"}}, "code of its own, which is not run"),
        ({"hidden_size": 16}, "cannot load the model"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(folder, changes, why):
    (folder / "evil.py").write_text("raise SystemExit('run')")
    configure(folder, **changes)
    assert why in refusal(folder)


@pytest.mark.parametrize("name", ["Trainer", "pipeline", 5, None, "__name__"])
def test_only_a_model_is_built(folder, name):
    configure(folder, architectures=[name])
    assert isinstance(load_pretrained(folder), torch.nn.Module)


def test_text_that_is_no_configuration_is_refused(folder):
    for text in ("", "[]", "{", '{"hidden_size": NaN}', '{"a": 1, "a": 2}', "[" * 10_000):
        (folder / "config.json").write_text(text)
        refusal(folder)
    (folder / "config.json").unlink()
    assert "no config.json" in refusal(folder)


class Evil:
    def __reduce__(self):
        return (exec, ("open('run', 'w')",))


def test_pickles_do_not_run(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Evil()) + bytes(10_000))
    refusal(folder)
    torch.save({"x": Evil()}, folder / "pytorch_model.bin")
    refusal(folder)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("cut", [0, 5, 100, 2_000])
def test_a_truncated_file_of_weights_is_refused(folder, cut):
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[:cut])
    refusal(folder)
