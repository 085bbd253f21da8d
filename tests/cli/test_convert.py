# SPDX-License-Identifier: Apache-2.0
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from ecoformer.cli.convert import convert
from ecoformer.errors import EcoformerError
from ecoformer.golden.attention import cores_of
from ecoformer.golden.convert import pretrained
from ecoformer.golden.convert.foreign import load_pretrained
from ecoformer.golden.convert.pretrained import read_batches
from ecoformer.golden.convert.recipe import ConvertConfig
from ecoformer.golden.convert.saved import load_converted
from ecoformer.sim.simulate import simulate
from ecoformer.sim.verify import compare
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.workload import Workload
from tests.emitted import emitted

transformers = pytest.importorskip("transformers", reason="pip install 'ecoformer[convert]'")

CONVERT = """
[convert]
batch = 4
layer_batches = 3
layer_steps = 4
steps = 40
held_out = 0.3
"""
SHAPE = """
hash = "linear"
weights = "ternary"
code_bits = 10
"""
SEPARATE = """
queries = "separate"
"""
ENGINE = """
head_dim = 6
value_dim = 6
max_tokens = 16
parameter_sets = 8
"""
FLOAT = "[attention]" + SHAPE + SEPARATE + CONVERT
"""A configuration without an engine."""
WHOLE = "[engine]" + SHAPE + ENGINE + SEPARATE + CONVERT
"""One with an engine, which has the shape."""
WORDS = "the a cat dog tree house sees likes under over red small".split()


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    """A tiny BERT with its tokenizer, as save_pretrained leaves them."""
    folder = tmp_path_factory.mktemp("bert")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    transformers.BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary), max_position_embeddings=16, hidden_size=24,
        num_hidden_layers=2, num_attention_heads=4, intermediate_size=32, initializer_range=0.3,
    )
    transformers.BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture
def sentences(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "sentences.txt"
    lines = [" ".join(rng.choice(WORDS, rng.integers(2, 9))) for _ in range(24)]
    path.write_text("\n\n".join(lines))
    return path


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(WHOLE)
    return path


@pytest.mark.slow
def test_command_converts_measures_and_writes(model_folder, sentences, config, tmp_path):
    pytest.importorskip("matplotlib", reason="pip install 'ecoformer[plot]'")
    out = tmp_path / "out"
    reply = subprocess.run(
        [sys.executable, "-m", "ecoformer", "convert", model_folder, "-d", sentences,
         "-c", config, "-o", out, "--report", "--json", tmp_path / "figures.json"],
        capture_output=True, text=True, check=False,
    )
    assert reply.returncode == 0, reply.stderr
    assert "Traceback" not in reply.stderr and "Warning" not in reply.stderr
    figures = json.loads((out / "convert.json").read_text())
    assert "converted.pt" in figures.pop("files")
    assert json.loads((tmp_path / "figures.json").read_text()) == figures
    stages = figures["agreement"]
    assert [*stages] == ["layer by layer", "all hashes together", "integers"]
    for stage, found in stages.items():
        assert f"{found['cosine']:.4f}" in reply.stdout, stage
    assert stages["all hashes together"]["error"] < stages["layer by layer"]["error"]
    assert stages["integers"]["cosine"] > stages["all hashes together"]["cosine"] - 0.02
    assert figures["batches"] == {"train": 4, "held_out": 2, "layers": 3}
    assert "2 of 6" in reply.stdout
    assert figures["batches_tried"] == []
    assert len(figures["losses"]["layers"]) == 2 and len(figures["losses"]["together"]) > 10
    assert len(figures["quality"]) == 2 * 4
    assert (out / "hashes.png").stat().st_size > 1000

    # The files are what the figures speak of.
    model = load_pretrained(model_folder)
    converted = load_converted(out / "converted.pt", model)
    assert [core.offset.tolist() for core in cores_of(converted)] == figures["offsets"]
    assert all(
        torch.equal(p, converted.state_dict()[name]) for name, p in model.state_dict().items()
    )
    engine = Config.load(config)
    assert ParameterImage.load(out / "parameters.safetensors", engine).sets == 2 * 4
    packets = Workload.load(out / "workload.npz", engine)  # of one sentence
    assert packets.sets.tolist() == [*range(8)] and len(set(packets.lengths.tolist())) == 1
    q, k = engine.sides.split(packets.tokens)
    assert (q != k).any()


def test_held_out_batches_say_how_many_are_enough(model_folder, sentences, config, tmp_path):
    config.write_text(WHOLE.replace("layer_batches = 3\n", "").replace("batch = 4", "batch = 2"))
    figures = convert(model_folder, config, sentences, tmp_path / "out")
    tried = figures["batches_tried"]
    assert [one["batches"] for one in tried][:2] == [4, 8]
    assert figures["batches"]["layers"] in [one["batches"] for one in tried][-2:]
    assert all(0 < one["loss"] < 2 for one in tried)


@pytest.mark.slow
def test_interrupted_command_goes_on(model_folder, sentences, config, tmp_path, monkeypatch):
    whole = convert(model_folder, config, sentences, tmp_path / "whole")
    out = tmp_path / "broken"
    refine = pretrained.refine

    def interrupted(*arguments, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr(pretrained, "refine", interrupted)
    with pytest.raises(KeyboardInterrupt):
        convert(model_folder, config, sentences, out)
    assert not (out / "converted.pt").exists() and not (out / "convert.json").exists()
    monkeypatch.setattr(pretrained, "refine", refine)
    assert convert(model_folder, config, sentences, out) == whole
    for name in ("converted.pt", "parameters.safetensors"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()

    # Other settings do not go on from there, unless told to drop what there is.
    with pytest.raises(EcoformerError, match="layers.pt: checkpoint of other settings"):
        convert(model_folder, config, sentences, out, seed=1)
    other = convert(model_folder, config, sentences, out, seed=1, resume=False)
    assert other["offsets"] != whole["offsets"]


@pytest.mark.slow
def test_all_weights_are_trained_when_told(model_folder, sentences, config, tmp_path):
    sentences.write_text(6 * (sentences.read_text() + "\n"))  # so the held-out ones are known
    config.write_text(FLOAT + "tune_steps = 100\ntune_lr = 5e-4\nreadout = 'embedding'")
    figures = convert(model_folder, config, sentences, tmp_path / "out")
    stages = figures["agreement"]
    assert [*stages] == ["layer by layer", "all hashes together", "all weights"]
    assert stages["all weights"]["cosine"] > stages["all hashes together"]["cosine"]
    assert not (tmp_path / "out" / "parameters.safetensors").exists()


def test_arrays_calibrate_models_of_images(tmp_path, config):
    torch.manual_seed(0)
    shape = transformers.ViTConfig(
        image_size=16, patch_size=4, hidden_size=24, num_hidden_layers=1, num_attention_heads=4,
        intermediate_size=32, initializer_range=0.3,
    )
    transformers.ViTForImageClassification(shape).save_pretrained(tmp_path / "vit")
    pixels = np.random.default_rng(0).normal(size=(24, 3, 16, 16)).astype(np.float32)
    np.savez(tmp_path / "images.npz", pixel_values=pixels)
    config.write_text(FLOAT.replace("steps = 40", "steps = 0"))
    figures = convert(tmp_path / "vit", config, tmp_path / "images.npz", tmp_path / "out")
    assert figures["model"] == "ViTForImageClassification"
    assert [*figures["agreement"]] == ["layer by layer"]


def test_sentences_of_like_length_share_a_batch(model_folder, sentences):
    batches = read_batches(sentences, model_folder, ConvertConfig(batch=4))
    assert len(batches) == 6
    padding = sum((batch["attention_mask"] == 0).sum().item() for batch in batches)
    tokens = sum(batch["attention_mask"].sum().item() for batch in batches)
    words = sum(len(line.split()) for line in sentences.read_text().splitlines())
    assert tokens == words + 2 * 24  # every sentence is there, none twice
    assert padding < 0.25 * tokens
    cut = read_batches(sentences, model_folder, ConvertConfig(batch=4, length=5))
    assert max(batch["input_ids"].shape[1] for batch in cut) == 5
    lengths = [batch["input_ids"].shape[1] for batch in batches]
    assert lengths != sorted(lengths)


def refused(arguments, message, tmp_path):
    with pytest.raises(EcoformerError) as caught:
        convert(*arguments, tmp_path / "out")
    assert message in str(caught.value)
    assert not (tmp_path / "out" / "converted.pt").exists()


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("data.csv", "a", "calibration data must be .txt (one sentence per line) or .npz"),
        ("data.txt", "the cat", "1 batch of 4; at least 2 are needed"),
        ("data.txt", b"\xff\xfe\xff", "not a text file"),
        ("data.npz", "a", "not a file of arrays"),
    ],
)
def test_useless_data_is_refused(name, content, message, model_folder, config, tmp_path):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    refused((model_folder, config, path), message, tmp_path)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("device", ["meta", "gpu", "cuda:99"])
def test_no_device_of_this_machine_is_refused(device, model_folder, sentences, config, tmp_path):
    with pytest.raises(EcoformerError, match=f"^device {device}: .*; give cpu or cuda$"):
        convert(model_folder, config, sentences, tmp_path / "out", device=device)
    assert not (tmp_path / "out").exists()


def test_arrays_of_different_counts_are_refused(model_folder, config, tmp_path):
    np.savez(tmp_path / "x.npz", a=np.zeros((3, 2)), b=np.zeros((4, 2)))
    refused((model_folder, config, tmp_path / "x.npz"), "its arrays have [3, 4] samples", tmp_path)


def test_what_is_no_model_is_refused(sentences, config, tmp_path):
    refused((tmp_path / "nowhere", config, sentences), "nowhere: no config.json; give", tmp_path)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "config.json").write_text('{"model_type": "quantum"}')
    refused((tmp_path / "bad", config, sentences), "bad: cannot load the model", tmp_path)


@pytest.fixture
def decoder(tmp_path):
    """Folder of a tiny GPT-2, and its inputs."""
    torch.manual_seed(0)
    shape = transformers.GPT2Config(vocab_size=50, n_positions=16, n_embd=24, n_layer=2, n_head=4)
    transformers.GPT2Model(shape).save_pretrained(tmp_path / "gpt")
    inputs = np.random.default_rng(0).integers(3, 50, (24, 8))
    np.savez(tmp_path / "x.npz", input_ids=inputs)
    return tmp_path / "gpt", tmp_path / "x.npz"


def test_a_decoder_runs_on_a_causal_engine(decoder, config, tmp_path, builds):
    model, inputs = decoder
    why = ("GPT2Model: no attention that can be replaced; h.0.attn: causal attention, which needs "
           "an engine with mask = 'causal'")
    refused((model, config, inputs), why, tmp_path)
    causal = 'mask = "causal"\ncontexts = 3\ncycles_per_token = 4\nbus_bytes = 16\n'
    config.write_text(WHOLE.replace("[convert]", causal + "[convert]"))
    figures = convert(model, config, inputs, tmp_path / "engine")
    floats, integers = (
        figures["agreement"][stage]["cosine"] for stage in ("all hashes together", "integers")
    )
    assert integers > floats - 0.02
    engine = Config.load(config)
    image = ParameterImage.load(tmp_path / "engine" / "parameters.safetensors", engine)
    packets = Workload.load(tmp_path / "engine" / "workload.npz", engine)
    run = simulate(
        engine, emitted(engine, name="ecoformer_engine"), image, packets, simulator="icarus",
        build_dir=builds,
    )
    report = compare(engine, image, packets, run)
    assert report.ok and report.words == packets.values.size


def test_a_decoder_is_converted_in_float(decoder, config, tmp_path):
    model, inputs = decoder
    config.write_text(FLOAT.replace("steps = 40", "steps = 20"))
    figures = convert(model, config, inputs, tmp_path / "out")
    assert [*figures["agreement"]] == ["layer by layer", "all hashes together"]
    assert {site["mask"] for site in figures["sites"]} == {"causal"}
    converted = load_converted(tmp_path / "out" / "converted.pt", load_pretrained(model))
    assert [core.mask for core in cores_of(converted)] == ["causal"] * 2


@pytest.mark.slow
def test_every_attention_is_told_and_some_may_be_left(decoder, config, tmp_path):
    model, inputs = decoder
    config.write_text(FLOAT.replace("steps = 40", "steps = 0"))
    command = [sys.executable, "-m", "ecoformer", "convert", model, "-d", inputs, "-c", config,
               "-o", tmp_path / "out"]
    reply = subprocess.run([*command, "--skip", "h.1"], capture_output=True, text=True, check=False)
    assert reply.returncode == 0, reply.stderr
    assert "converted: 4 heads, causal" in reply.stdout and "left: skipped" in reply.stdout
    figures = json.loads((tmp_path / "out" / "convert.json").read_text())
    assert [(site["path"], site["converted"], site["reason"]) for site in figures["sites"]] == [
        ("h.0.attn", True, None), ("h.1.attn", False, "skipped")
    ]
    assert [*figures["losses"]["layers"]] == ["h.0.attn"]
    reply = subprocess.run([*command, "--only", "x"], capture_output=True, text=True, check=False)
    assert reply.returncode == 2 and len(reply.stderr.splitlines()) == 1
    assert "GPT2Model: 'x' matches no attention; there is h.0.attn, h.1.attn" in reply.stderr


def test_a_partial_conversion_is_refused_unless_told(config, tmp_path):
    torch.manual_seed(0)
    shape = transformers.T5Config(
        vocab_size=50, d_model=24, d_kv=6, d_ff=32, num_layers=1, num_heads=4,
        decoder_start_token_id=0,
    )
    transformers.T5Model(shape).save_pretrained(tmp_path / "t5")
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "x.npz", input_ids=rng.integers(3, 50, (24, 8)),
             decoder_input_ids=rng.integers(3, 50, (24, 6)))
    config.write_text(FLOAT.replace("steps = 40", "steps = 0"))
    arguments = tmp_path / "t5", config, tmp_path / "x.npz"
    refused(arguments, "T5Model, encoder.block.0.layer.0.SelfAttention and 1 more: a learned "
                       "bias is added to the scores; skip", tmp_path)
    figures = convert(*arguments, tmp_path / "out", skip=["*.SelfAttention"])
    found = {site["path"]: (site["converted"], site["cross"]) for site in figures["sites"]}
    assert found["decoder.block.0.layer.1.EncDecAttention"] == (True, True)
    assert sum(converted for converted, _ in found.values()) == 1


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("head_dim = 6", "head_dim = 7", "[engine] head_dim must be 6"),
        ("[convert]", "[attention]\ncode_bits = 9\n[convert]",
         "[attention] code_bits is given in another table"),
        ("parameter_sets = 8", "parameter_sets = 7", "parameter_sets must be at least 8"),
        ("max_tokens = 16", "max_tokens = 4", "max_tokens must be at least 10"),
    ],
)
def test_engine_that_does_not_fit_is_refused_before_learning(
    old, new, message, model_folder, sentences, config, tmp_path
):
    config.write_text(WHOLE.replace(old, new))
    refused((model_folder, config, sentences), message, tmp_path)
    assert not list((tmp_path / "out").rglob("*.pt"))


def test_preset_without_an_engine_converts_without_one(model_folder, sentences, monkeypatch):
    class Converting(Exception):
        pass

    def stop(*arguments):
        engine = arguments[6]
        assert engine is None
        raise Converting

    monkeypatch.setattr(pretrained, "convert_pretrained", stop)
    monkeypatch.setattr(pretrained, "read_batches", lambda *arguments: [])
    with pytest.raises(Converting):
        convert(model_folder, "minilm", sentences, sentences.with_name("out"))


def test_folder_of_others_is_left_alone(model_folder, sentences, config, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "convert.json").write_text("precious")
    why = "convert.json: in the way, and not written by this command"
    refused((model_folder, config, sentences), why, tmp_path)
    assert (tmp_path / "out" / "convert.json").read_text() == "precious"


@pytest.mark.parametrize(
    "field, value, error, text",
    [
        ("batch", 0, ValueError, "^batch must be 1…1000000, not 0$"),
        ("layer_batches", 1, ValueError, "^layer_batches must be 2…1000000, not 1$"),
        ("tune_lr", "x", TypeError, "^tune_lr must be a number, not 'x'$"),
        ("readout", "x", ValueError, "^readout must be 'tokens' or 'embedding' or 'layers' or"),
        ("tune_readout", "x", ValueError, "^tune_readout must be 'tokens' or 'embedding' or 'lay"),
        ("held_out", 2.0, ValueError, "^held_out must be 0…0.9, not 2.0$"),
        ("learn_offset", 1, TypeError, "^learn_offset must be true or false, not 1$"),
    ],
)
def test_bad_config_is_refused(field, value, error, text):
    with pytest.raises(error, match=text):
        ConvertConfig(**{field: value})


def test_what_is_set_for_outputs_holds_for_all_stages_that_compare_them():
    config = ConvertConfig(
        steps=3, lr=0.1, tune_steps=4, tune_lr=0.2, disagreement="divergence", clip=0.5
    )
    for stage, steps, lr in ((config.together, 3, 0.1), (config.tuning, 4, 0.2)):
        assert (stage.steps, stage.lr) == (steps, lr)
        assert (stage.disagreement, stage.clip) == ("divergence", 0.5)
    with pytest.raises(ValueError, match="disagreement must be 'square' or 'divergence'"):
        ConvertConfig(disagreement="cosine")
