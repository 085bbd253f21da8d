# SPDX-License-Identifier: Apache-2.0
from math import asin, pi

import pytest
import torch

from ecoformer.golden.attention import linear_attention, softmax_attention
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.networks.vit import NetworkConfig, VisionTransformer
from ecoformer.golden.stand_ins import LimitAttention, MeanAttention, NoAttention


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("value_term", ["sum", "own"])
def test_limit_by_hand(value_term):
    config = AttentionConfig(code_bits=4, value_term=value_term)
    x = torch.tensor([[[[1.0, 0.0], [0.0, 3.0], [-1.0, -1.0]]]])
    v = torch.randn(1, 1, 3, 2)
    got = LimitAttention(1, config)(x, x, v)[0, 0]
    root = 2**-0.5
    for i, cosines in enumerate(((1, 0, -root), (0, 1, -root), (-root, -root, 1))):
        similarity = [2 / pi * asin(cosine) for cosine in cosines]
        offset = 5 / 4 * (v[0, 0].sum(0) if value_term == "sum" else v[0, 0, i])
        total = sum(s * row for s, row in zip(similarity, v[0, 0], strict=True)) + offset
        want = total / (sum(similarity) + 3 * 5 / 4)
        torch.testing.assert_close(got[i], want, rtol=0, atol=2e-3)  # of the edge of arcsin


def test_codes_of_many_random_bits_come_to_the_limit():
    x, v = torch.randn(1, 2, 12, 6), torch.randn(1, 2, 12, 3)
    limit = LimitAttention(2, AttentionConfig(code_bits=16))(x, x, v)
    errors = []
    for bits in (64, 4096, 65536):
        codes = (x @ torch.randn(6, bits)).sign()
        errors.append((linear_attention(codes, v, bits * 17 / 16) - limit).abs().max())
    assert errors[0] > 4 * errors[1] > 4 * 2 * errors[2]
    assert errors[-1] < 0.01
    assert (softmax_attention(x, x, v) - limit).abs().max() > 0.1


def test_limit_has_gradients_everywhere_and_ignores_padding():
    x = torch.randn(1, 1, 4, 3, requires_grad=True)
    v = torch.randn(1, 1, 4, 2)
    mask = torch.tensor([[True, True, True, False]])
    attention = LimitAttention(1, AttentionConfig())
    whole = attention(x, x, v, mask)
    part = attention(x[:, :, :3], x[:, :, :3], v[:, :, :3])
    torch.testing.assert_close(whole[:, :, :3], part)
    whole.sum().backward()
    assert x.grad.isfinite().all() and x.grad.abs().sum() > 0


def test_controls_by_hand():
    q, v = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 2)
    mask = torch.tensor([[True, True, False, False], [True] * 4])
    mean = MeanAttention(3)(q, q, v, mask)
    torch.testing.assert_close(mean[0], v[0, :, :2].mean(1, keepdim=True).expand(3, 4, 2))
    torch.testing.assert_close(mean[1], v[1].mean(1, keepdim=True).expand(3, 4, 2))
    assert torch.equal(NoAttention(3)(q, q, v), v)
    so_far = MeanAttention(3, mask="causal")(q, q, v)
    for last in range(4):
        torch.testing.assert_close(so_far[:, :, last], v[:, :, : last + 1].mean(2))


def test_codes_take_the_place_of_the_limit_with_every_weight_kept():
    network = NetworkConfig(image_size=8, width=8, depth=2, classes=3)
    attention = AttentionConfig(code_bits=4, anchors=3)
    model = VisionTransformer(network)
    query = model.blocks[0].attention.to_q.weight.clone()
    model.limit_attention(attention)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert torch.equal(state["blocks.0.attention.to_qk.weight"], query)
    assert [layer.layer for layer in model.attention_layers()] == [0, 1]
    model.replace_attention(attention)
    assert model.attention_config == attention
    after = model.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in state.items())
