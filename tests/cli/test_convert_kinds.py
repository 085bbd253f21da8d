# SPDX-License-Identifier: Apache-2.0
"""Models with several kinds of attention, each on an engine of its own."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from ecoformer.cli.convert import convert
from ecoformer.errors import EcoformerError
from ecoformer.golden.attention import cores_of
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.convert.convert import convert as convert_model
from ecoformer.golden.convert.foreign import load_pretrained
from ecoformer.golden.convert.hardware import in_integers, make_targets, write_targets
from ecoformer.golden.convert.saved import load_converted
from ecoformer.golden.integer.engine import IntegerEngine
from ecoformer.golden.learn.distill import DistillConfig
from ecoformer.golden.quantize.evaluation import CheckedEngine
from ecoformer.golden.quantize.inference import EngineAttention, override_attention
from ecoformer.golden.recording import record
from ecoformer.sim.rtl import Rtl
from ecoformer.sim.simulate import simulate
from ecoformer.sim.verify import compare
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.workload import Workload
from tests.emitted import emitted

transformers = pytest.importorskip("transformers", reason="pip install 'ecoformer[convert]'")

SHAPE = 'hash = "linear"\nweights = "ternary"\ncode_bits = 10\n'
SIZES = "head_dim = 6\nvalue_dim = 6\nmax_tokens = 12\nparameter_sets = 6\nbus_bytes = 18\n"
ENGINES = {
    "self": 'queries = "separate"\n',
    "causal": 'queries = "separate"\nmask = "causal"\ncontexts = 12\ncycles_per_token = 4\n',
    "cross": 'queries = "cross"\n',
}
CONVERT = """
[convert]
batch = 4
layer_batches = 3
layer_steps = 4
steps = 20
held_out = 0.3
"""
NEEDS = {
    "self": "self attention, which needs an engine with mask = 'full'",
    "causal": "causal attention, which needs an engine with mask = 'causal'",
    "cross": "cross attention, which needs an engine with mask = 'full' and queries = 'cross'",
}
PATHS = {
    "encoder.layers.0.self_attn": "self", "decoder.layers.0.self_attn": "causal",
    "decoder.layers.0.encoder_attn": "cross",
}
"""Attention of a BART of one layer, and its kinds."""


@pytest.fixture
def engines(tmp_path):
    """Configuration files of an engine for every kind of attention."""
    files = {}
    for kind, own in ENGINES.items():
        files[kind] = tmp_path / f"{kind}.toml"
        files[kind].write_text("[engine]\n" + SHAPE + SIZES + own + CONVERT)
    return files


@pytest.fixture
def whole(tmp_path):
    """A configuration without an engine."""
    path = tmp_path / "whole.toml"
    path.write_text("[attention]\n" + SHAPE + 'queries = "separate"\n' + CONVERT)
    return path


def save_inputs(path, source, target):
    """Inputs of an encoder-decoder, of these lengths; some encoder tokens are padding."""
    rng = np.random.default_rng(0)
    ends = rng.integers(3, source + 1, 24)
    np.savez(
        path, input_ids=rng.integers(3, 50, (24, source)),
        attention_mask=(np.arange(source) < ends[:, None]).astype(np.int64),
        decoder_input_ids=rng.integers(3, 50, (24, target)),
    )


@pytest.fixture
def bart(tmp_path):
    """Folder of a tiny BART, and inputs whose two sequences are as long as each other."""
    torch.manual_seed(0)
    shape = transformers.BartConfig(
        vocab_size=50, d_model=24, encoder_layers=1, decoder_layers=1, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=32, decoder_ffn_dim=32,
        max_position_embeddings=16, init_std=0.3, decoder_start_token_id=0, bos_token_id=0,
        pad_token_id=1, eos_token_id=2, forced_eos_token_id=2,
    )
    transformers.BartModel(shape).save_pretrained(tmp_path / "bart")
    save_inputs(tmp_path / "x.npz", 8, 8)
    return tmp_path / "bart", tmp_path / "x.npz"


def check_on_rtl(folder, config_path, builds):
    """The packets of a conversion, bit by bit on the RTL; returns them."""
    config = Config.load(config_path)
    image = ParameterImage.load(folder / "parameters.safetensors", config)
    packets = Workload.load(folder / "workload.npz", config)
    run = simulate(
        config, emitted(config, name="ecoformer_engine"), image, packets, simulator="compiled",
        build_dir=builds,
    )
    report = compare(config, image, packets, run)
    assert report.ok and report.words == packets.answers.sum() * config.value_dim
    return packets


@pytest.mark.parametrize("kind", ENGINES)
def test_an_engine_takes_its_kind_and_leaves_the_others(kind, bart, engines, tmp_path, builds):
    model, inputs = bart
    out = tmp_path / "out"
    reply = subprocess.run(
        [sys.executable, "-m", "ecoformer", "convert", model, "-d", inputs, "-c", engines[kind],
         "-o", out], capture_output=True, text=True, check=False,
    )
    assert reply.returncode == 0, reply.stderr
    figures = json.loads((out / "convert.json").read_text())
    for site in figures["sites"]:
        own = PATHS[site["path"]]
        assert site["converted"] == (own == kind)
        assert site["reason"] == (None if own == kind else NEEDS[own])
        assert own == kind or f"left: {NEEDS[own]}" in reply.stdout
    floats, integers = (
        figures["agreement"][stage]["cosine"] for stage in ("all hashes together", "integers")
    )
    assert integers > floats - 0.02
    packets = check_on_rtl(out, engines[kind], builds)
    assert packets.sets.tolist() == [*range(4)]
    assert (packets.queries is not None) == (kind == "cross")
    if kind == "cross":  # the encoder's padding is not sent, and hides none of the queries
        assert (packets.query_lengths == 8).all() and (packets.lengths < 8).all()
    (core,) = cores_of(load_converted(out / "converted.pt", load_pretrained(model)))
    assert core.kind == kind


@pytest.mark.slow
def test_engines_for_every_kind_compute_one_model(bart, engines, tmp_path, builds):
    model, inputs = bart
    first, *others = engines.values()
    out = tmp_path / "out"
    figures = convert(model, first, inputs, out, engines=others)
    assert all(site["converted"] for site in figures["sites"])
    assert figures["engines"] == {"self": ".", "causal": "causal", "cross": "cross"}
    assert len(figures["code_disagreement"]) == 3 and len(figures["quality"]) == 3 * 4
    stages = figures["agreement"]
    assert stages["integers"]["cosine"] > stages["all hashes together"]["cosine"] - 0.02
    for kind, folder in figures["engines"].items():
        packets = check_on_rtl(out / folder, engines[kind], builds)
        assert packets.sets.tolist() == [*range(4)]


def test_engines_are_added_to_a_configuration_without_one(bart, engines, whole, tmp_path):
    model, inputs = bart
    out = tmp_path / "out"
    figures = convert(model, whole, inputs, out, engines=[engines["cross"]])
    assert figures["engines"] == {"cross": "cross"}
    assert [site["path"] for site in figures["sites"] if site["converted"]] == [
        "decoder.layers.0.encoder_attn"
    ]
    assert (out / "cross" / "workload.npz").exists() and not (out / "workload.npz").exists()


@pytest.mark.parametrize("source, target", [(8, 6), (6, 6)])
def test_cross_attention_of_a_t5_runs_on_an_engine(source, target, engines, tmp_path, builds):
    torch.manual_seed(0)
    shape = transformers.T5Config(
        vocab_size=50, d_model=24, d_kv=6, d_ff=32, num_layers=1, num_heads=4,
        decoder_start_token_id=0,
    )
    transformers.T5Model(shape).save_pretrained(tmp_path / "t5")
    save_inputs(tmp_path / "x.npz", source, target)
    figures = convert(
        tmp_path / "t5", engines["cross"], tmp_path / "x.npz", tmp_path / "out",
        skip=["*.SelfAttention"],
    )
    found = {site["path"]: site["cross"] for site in figures["sites"] if site["converted"]}
    assert found == {"decoder.block.0.layer.1.EncDecAttention": True}
    packets = check_on_rtl(tmp_path / "out", engines["cross"], builds)
    assert (packets.query_lengths == target).all()


class OneInput(nn.Module):
    """An encoder-decoder that is given the same sequence twice, so that nothing but what happens to
    it tells its two streams apart."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Transformer(24, 4, 2, 1, 32, dropout=0.0, batch_first=True)

    def forward(self, x):
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
        return self.inner(x, x, tgt_mask=mask, tgt_is_causal=True)


def test_all_kinds_of_attention_of_one_network_run_on_the_rtl_at_once(engines, tmp_path, builds):
    torch.manual_seed(0)
    model = OneInput().eval()
    batches = list(torch.randn(4, 2, 7, 24))
    attention = AttentionConfig(
        hash="linear", weights="ternary", code_bits=10, queries="separate"
    )
    converted = convert_model(model, attention, batches, DistillConfig(steps=3))
    cores = cores_of(converted)
    assert [core.kind for core in cores] == ["self", "self", "causal", "cross"]
    sizes = SIZES.replace("parameter_sets = 6", "parameter_sets = 8")
    engines["self"].write_text("[engine]\n" + SHAPE + sizes + ENGINES["self"])
    configs = {kind: Config.load(path) for kind, path in engines.items()}
    targets = make_targets(None, list(configs.values()))
    with torch.no_grad():
        tape = record(cores, lambda: [converted(batch) for batch in batches])
        images = write_targets(targets, cores, tape, tape, tmp_path)
        with in_integers(targets, images, cores):
            want = converted(batches[0])
        checked = {}
        for target, image in zip(targets, images):
            (own,) = target.own(cores)
            rtl = Rtl(
                target.config, emitted(target.config, name="ecoformer_engine"), image, builds
            )
            checked[target.kind] = CheckedEngine(target.config, image, rtl)
            host = EngineAttention(target.config, image, own, checked[target.kind])
            for core in own:
                core.override = host
        got = converted(batches[0])
    assert torch.equal(got, want)
    assert {kind: one.words for kind, one in checked.items()} == {
        "self": 2 * 2 * 4 * 7 * 6, "causal": 2 * 4 * 7 * 6, "cross": 2 * 4 * 7 * 6
    }
    assert not any(one.mismatches for one in checked.values())


def test_only_some_kinds_are_converted_when_told():
    torch.manual_seed(0)
    attention = AttentionConfig(hash="linear", code_bits=8, queries="separate")
    batches = list(torch.randn(3, 2, 7, 24))
    converted = convert_model(
        OneInput().eval(), attention, batches, DistillConfig(steps=1), kinds=["causal", "cross"]
    )
    assert [core.kind for core in cores_of(converted)] == ["causal", "cross"]


def refused(message, *arguments, **named):
    with pytest.raises(EcoformerError) as caught:
        convert(*arguments, **named)
    assert message in str(caught.value)


def test_engines_that_do_not_fit_are_refused_before_learning(bart, engines, whole, tmp_path):
    model, inputs = bart
    out = tmp_path / "out"
    twice = tmp_path / "twice.toml"
    twice.write_text(engines["cross"].read_text())
    refused("two engines for cross attention; give one for each kind",
            model, engines["cross"], inputs, out, engines=[twice])
    refused("whole.toml: no table [engine]; give the configuration of an engine",
            model, engines["self"], inputs, out, engines=[whole])
    refused("[engine] computes cross attention, and what is converted of this model is self",
            model, engines["self"], inputs, out, engines=[engines["cross"]], skip=["decoder"])
    refused(f"BartModel, decoder.layers.0.self_attn and 1 more: {NEEDS['causal']}; skip",
            model, engines["self"], inputs, out, only=["*.layers"])
    short = engines["cross"].read_text().replace("max_tokens = 12", "max_tokens = 7")
    engines["cross"].write_text(short)
    refused("[engine] max_tokens must be at least 8 for this model, not 7",
            model, engines["cross"], inputs, out)
    other = engines["causal"].read_text().replace("code_bits = 10", "code_bits = 9")
    engines["causal"].write_text(other)
    refused("[engine] code_bits must be 10 for this model, not 9",
            model, engines["self"], inputs, out, engines=[engines["causal"]])
    assert not list(tmp_path.rglob("*.pt"))


def test_a_decoder_generates_with_contexts_on_the_chip(tmp_path, engines, builds):
    """Greedy decoding with a cache: every step sends one token of each head."""
    torch.manual_seed(0)
    shape = transformers.GPT2Config(
        vocab_size=50, n_positions=16, n_embd=24, n_layer=1, n_head=4, initializer_range=0.3,
        bos_token_id=0, eos_token_id=0,
    )
    model = transformers.GPT2LMHeadModel(shape).eval()
    batches = [{"input_ids": torch.randint(3, 50, (2, 8))} for _ in range(3)]
    attention = AttentionConfig(
        hash="linear", weights="ternary", code_bits=10, queries="separate"
    )
    converted = convert_model(model, attention, batches, DistillConfig(steps=3))
    cores = cores_of(converted)
    config = Config.load(engines["causal"])
    with torch.no_grad():
        tape = record(cores, lambda: [converted(**batch) for batch in batches])
    (target,) = make_targets(config)
    (image,) = write_targets([target], cores, tape, tape, tmp_path)

    def generate(engine):
        lengths = []
        host = EngineAttention(
            config, image, cores, engine, lambda workload, _: lengths.append(workload.lengths)
        )
        with override_attention(cores, host):
            tokens = converted.generate(
                batches[0]["input_ids"][:, :4], max_new_tokens=6, min_new_tokens=6, do_sample=False,
                pad_token_id=0,
            )
        return tokens, [sent.tolist() for sent in lengths]

    want, sent = generate(IntegerEngine(config, image))
    assert sent == [8 * [4], *(5 * [8 * [1]])]
    rtl = Rtl(config, emitted(config, name="ecoformer_engine"), image, builds)
    checked = CheckedEngine(config, image, rtl)
    assert torch.equal(generate(checked)[0], want)
    assert checked.words == 8 * 9 * 6 and not checked.mismatches
