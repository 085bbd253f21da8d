# SPDX-License-Identifier: Apache-2.0
"""The float decoder, its shape and its file."""

from dataclasses import replace

import pytest
import torch

from ecoformer.errors import EcoformerError
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.networks.decoder import Decoder, DecoderConfig
from ecoformer.golden.networks.network import load_network, read_network, save_network
from tests.golden.integer.network.decoders import make_decoder

SHAPE = DecoderConfig(vocabulary=4, positions=6, width=8, heads=2, alphabet="aé\n")
ATTENTION = AttentionConfig(code_bits=4, hash="linear", queries="separate")


@pytest.mark.parametrize("attention", [None, ATTENTION], ids=["softmax", "ecoformer"])
def test_no_token_sees_those_behind_it(attention):
    torch.manual_seed(0)
    model = Decoder(replace(SHAPE, depth=2), attention).eval()
    tokens = torch.tensor([[3, 0, 1, 2, 0, 1], [3, 0, 1, 2, 2, 1]])
    logits = model(tokens)
    assert logits.shape == (2, 6, 4)
    assert torch.equal(logits[0, :4], logits[1, :4])
    assert not torch.equal(logits[0, 4], logits[1, 4])
    assert torch.allclose(model(tokens[:, :4]), logits[:, :4], atol=1e-6)


@pytest.mark.parametrize("attention", [None, ATTENTION], ids=["softmax", "ecoformer"])
def test_a_file_gives_the_same_network(attention, tmp_path):
    torch.manual_seed(0)
    model = Decoder(SHAPE, attention).eval()
    save_network(model, tmp_path / "m.pt")
    loaded = load_network(tmp_path / "m.pt")
    assert isinstance(loaded, Decoder) and not loaded.training
    assert (loaded.config, loaded.attention_config) == (SHAPE, attention)
    tokens = torch.tensor([[3, 0, 1]])
    assert torch.equal(loaded(tokens), model(tokens))


def test_a_configuration_describes_its_float_network(tmp_path):
    path = tmp_path / "c.toml"
    design = make_decoder(alphabet="0123456789")
    path.write_text(design.as_toml())
    assert read_network(path) == DecoderConfig(
        vocabulary=11, positions=5, width=8, heads=2, mlp_ratio=2, alphabet="0123456789"
    )
    path.write_text(design.as_toml() + "\n[network]\ndepth = 1\n")
    with pytest.raises(EcoformerError, match=r"\[network\] is for images and \[decoder\] for text"):
        read_network(path)
    path.write_text(replace(design, hidden=12).as_toml())
    with pytest.raises(EcoformerError, match=r"\[decoder\] hidden must be a multiple of width = 8"):
        read_network(path)


@pytest.mark.parametrize("changes, rule", [
    ({"heads": 3}, "heads must divide width = 8, not be 3"),
    ({"depth": 0}, "depth must be 1…1000, not 0"),
    ({"alphabet": "ab"}, "vocabulary must be 3, a token for each of 2 characters and a mark"),
    ({"width": 8_192, "heads": 2}, "must make at most 100,000,000 weights, not"),
])
def test_an_impossible_shape_is_refused(changes, rule):
    with pytest.raises(ValueError, match=rule):
        replace(SHAPE, **changes)
