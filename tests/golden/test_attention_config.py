# SPDX-License-Identifier: Apache-2.0
"""Where a configuration file gives the shape of attention."""

import pytest
import torch

from ecoformer.errors import EcoformerError
from ecoformer.golden.attention_config import AttentionConfig, read_attention
from ecoformer.presets import PRESETS
from ecoformer.spec.config import Config


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "own.toml"
        path.write_text(text)
        return path

    return write


def test_engine_gives_the_shape_and_attention_the_rest(write):
    path = write("""
[engine]
hash = "linear"
weights = "ternary"
code_bits = 10
value_term = "own"
cycles_per_token = 32
queries = "separate"
[attention]
offset = 3.5
""")
    attention, engine = read_attention(path)
    assert engine == Config.load(path) and engine.cycles_per_token == 32
    assert attention == AttentionConfig(
        hash="linear", weights="ternary", code_bits=10, value_term="own", queries="separate",
        offset=3.5,
    )


def test_attention_gives_everything_without_an_engine(write):
    attention, engine = read_attention(write("[attention]\nhash = 'linear'\ncode_bits = 10"))
    assert engine is None
    assert attention == AttentionConfig(hash="linear", code_bits=10)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_give_it_once(preset):
    causal = "mask must be 'full'"
    refused = {
        "softmax": "hash must be 'rbf' or 'linear' or", "decoder": causal, "characters": causal,
        "moby-dick": causal,
    }
    if preset in refused:
        with pytest.raises(EcoformerError, match=rf"\[engine\] {refused[preset]}"):
            read_attention(preset)
        return
    attention, engine = read_attention(preset)
    assert (engine is None) == (preset == "minilm")
    assert engine is None or attention.hash == engine.hash


@pytest.mark.parametrize(
    "text, message",
    [
        ("[engine]\n[attention]\ncode_bits = 16", "[attention] code_bits is given in another"),
        ("[engine]\nmask = 'causal'", "[engine] mask must be 'full' for networks of this version"),
        ("[engine]\nhash = 'codes'", "[engine] hash must be 'rbf' or 'linear' or 'hadamard' to "),
        ("[engine]\ncode_bits = 4\n[attention]\noffset = 9", "[attention] offset must be 0…8, not"),
        ("[attention]\ncode_bits = 0", "[attention] code_bits must be 1…8192, not 0"),
        ("[attention]\nlayers = 3", "unknown key in [attention]: layers"),
        ("[engine]\ncode_bits = 0", "[engine] code_bits must be"),
    ],
)
def test_contradictions_and_impossible_values_are_refused(text, message, write):
    with pytest.raises(EcoformerError) as caught:
        read_attention(write(text))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "line, why",
    [
        ('tie = "zero"', "tie must not be 'zero' for hardware: a code bit of an engine is"),
        ('bandwidth = "per-sequence"', "bandwidth must not be 'per-sequence' for hardware: an eng"),
    ],
)
def test_what_no_engine_has_is_refused_beside_one_with_the_reason(write, line, why):
    assert read_attention(write(f"[attention]\n{line}\n"))[1] is None
    with pytest.raises(EcoformerError, match=why):
        read_attention(write(f"[engine]\n[attention]\n{line}\n"))


def test_float_weights_are_not_rounded_and_reach_no_engine():
    config = AttentionConfig(weights="float")
    hash = config.make_hash(2, 4)
    assert torch.equal(hash.rows, hash.projection)
    assert not torch.equal(AttentionConfig().make_hash(2, 4).rows, hash.projection)
    with pytest.raises(ValueError, match="^weights must not be 'float' for hardware: an engine"):
        config.check_hardware()
