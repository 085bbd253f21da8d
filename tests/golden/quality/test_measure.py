# SPDX-License-Identifier: Apache-2.0
import math

import pytest
import torch

from ecoformer.golden.attention import EcoFormerAttention, softmax_attention
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.hashing import sign
from ecoformer.golden.learn.distill import start_hashes
from ecoformer.golden.quality.measure import _twins, assess
from ecoformer.golden.recording import record
from ecoformer.golden.separation import separation

HEADS, TOKENS, DIM = 2, 20, 6


def make_layer(separate=False, **config):
    queries = "separate" if separate else "shared"
    config = AttentionConfig(hash="linear", code_bits=8, queries=queries, **config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return EcoFormerAttention(HEADS, DIM, config)


def make_tape(layer, separate=False, keys=None, seed=0, images=3):
    generator = torch.Generator().manual_seed(seed)
    q, k, v = torch.randn(3, images, HEADS, TOKENS, DIM, generator=generator)
    return record([layer], lambda: layer(q if separate else k, k, v, keys))


def test_separation_of_known_codes():
    similarity = torch.tensor([[2.0, 1.0], [1.0, 2.0]])[None, None]
    right = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])[None, None]
    assert separation(right, similarity) == 1.0
    assert separation(right, -similarity) == 0.0
    assert separation(torch.ones(1, 1, 2, 2), similarity) == 0.5
    assert separation(right, similarity, queries=-right) == 0.0
    both = torch.cat([right, -right], 1), torch.cat([similarity, -similarity], 1)
    assert separation(*both).tolist() == [1.0, 0.0]


@pytest.mark.parametrize("separate", [False, True], ids=["shared", "separate"])
@pytest.mark.parametrize("padded", [False, True], ids=["whole", "padded"])
def test_figures_against_plain_formulas(separate, padded):
    layer = make_layer(separate, offset=0.2)
    keys = torch.arange(TOKENS) < torch.tensor([[20], [7], [13]]) if padded else None
    tape = make_tape(layer, separate, keys)
    start_hashes(layer, tape[0], torch.Generator().manual_seed(1))
    found = assess([layer], tape)
    assert [(one.layer, one.head) for one in found] == [(0, 0), (0, 1)]

    ((call,),) = tape
    lengths = [TOKENS] * 3 if keys is None else keys.sum(1).tolist()
    for one in found:
        error = uniform = square = unanswered = correlation = 0
        seen = []
        for image, n in enumerate(lengths):
            q, k, v = (x[image : image + 1, :, :n] for x in (call.q, call.k, call.v))
            h_q, h = (layer.query_hash or layer.hash)(q), layer.hash(k)
            wanted = softmax_attention(q, k, v)[0, one.head]
            answer = layer(k if not separate else q, k, v)[0, one.head]
            error += (answer - wanted).square().sum()
            uniform += (v[0, one.head].mean(0) - wanted).square().sum()
            square += wanted.square().sum()
            agreement = h_q[0, one.head] @ h[0, one.head].T
            unanswered += (agreement.sum(1) + 0.2 * n <= 0).sum()
            logits = (q @ k.mT)[0, one.head]
            pairs = zip(agreement, logits)
            correlation += sum(torch.corrcoef(torch.stack(pair))[0, 1] for pair in pairs)
            seen.append(h[0, one.head])
        seen = torch.cat(seen)
        assert one.output_error == pytest.approx((error / square).item(), rel=1e-4)
        assert one.uniform_error == pytest.approx((uniform / square).item(), rel=1e-4)
        assert one.unanswered == pytest.approx(unanswered.item() / sum(lengths))
        assert one.correlation == pytest.approx(correlation.item() / sum(lengths), rel=1e-4)
        assert one.keys == len(seen) == sum(lengths)
        assert one.codes == len({tuple(code) for code in seen.tolist()})
        assert len(one.balance) == 8 * len(layer.hashes)
        share = [(seen[:, bit] > 0).double().mean().item() for bit in range(8)]
        assert list(one.balance[:8]) == pytest.approx(share)
        assert 0 < one.unanswered < 0.6


def test_entropy_is_one_for_balanced_bits_and_zero_for_constant_ones():
    layer = make_layer()
    tape = make_tape(layer)
    layer.hash.centre(tape[0][0].k)
    balanced = assess([layer], tape)[0]
    want = [-p * math.log2(p) - (1 - p) * math.log2(1 - p) for p in balanced.balance]
    assert balanced.entropy == pytest.approx(sum(want) / 8)
    layer.hash.threshold.fill_(-1e6)
    constant = assess([layer], tape)[0]
    assert constant.entropy == 0 and constant.codes == 1 and constant.separation == 0.5
    assert constant.correlation == 0
    assert constant.balance == (1.0,) * 8


def test_good_hash_has_no_warnings():
    layer = make_layer()
    tape = make_tape(layer)
    tape[0][0].v.copy_(tape[0][0].k)  # values like their keys: where attention goes matters
    start_hashes(layer, tape[0], torch.Generator().manual_seed(1))
    assert [one.warnings for one in assess([layer], tape)] == [[], []]


@pytest.mark.parametrize(
    "damage, words",
    [
        (lambda layer: layer.hash.threshold.fill_(1e6), "collapsed: every key has the same code"),
        (lambda layer: layer.hash.threshold[:, :3].fill_(1e6), "3 of 8 bits are constant"),
        (lambda layer: layer.hash.projection[:, :2].copy_(layer.hash.projection[:, 2:4]),
         "2 bits repeat another one"),
        (lambda layer: layer.offset.fill_(0.0), "denominator ≤ 0"),
        (lambda layer: layer.offset.fill_(0.3), "no closer to softmax attention"),
    ],
    ids=["collapsed", "constant", "twins", "denominator", "useless"],
)
def test_warning_names_what_is_wrong(damage, words):
    layer = make_layer()
    tape = make_tape(layer)
    start_hashes(layer, tape[0], torch.Generator().manual_seed(1))
    damage(layer)
    if words.startswith("2 bits"):
        layer.hash.threshold[:, :2] = layer.hash.threshold[:, 2:4]
    assert any(words in text for text in assess([layer], tape)[0].warnings)


def test_twins_are_counted_once_and_whatever_their_sign():
    codes = sign(torch.randn(200, 4, generator=torch.Generator().manual_seed(0)))
    assert _twins(codes) == 0
    assert _twins(torch.cat([codes, codes[:, :1], -codes[:, 1:2]], 1)) == 2
    assert _twins(torch.cat([codes[:, :1]] * 3, 1)) == 2
    assert _twins(torch.ones(10, 4)) == 0


def test_layers_and_values_of_their_own():
    layers = [make_layer(value_term="own"), make_layer()]
    layers[1].layer = 1
    tape = [calls for layer in layers for calls in make_tape(layer)]
    found = assess(layers, tape)
    assert [(one.layer, one.head) for one in found] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert found[0].output_error != found[2].output_error
    assert found[0].as_dict()["warnings"] == found[0].warnings


def test_single_tokens_tell_nothing():
    layer = make_layer()
    x = torch.randn(2, HEADS, 1, DIM)
    with pytest.raises(ValueError, match="at least 2 tokens"):
        assess([layer], record([layer], lambda: layer(x, x, x)))
