# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from ecoformer.golden.attention import (
    Attention,
    EcoFormerAttention,
    SoftmaxAttention,
    linear_attention,
    quadratic_attention,
    softmax_attention,
)
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.hashing import sign
from ecoformer.golden.recording import Call, observed, record


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def random_codes(*shape):
    return sign(torch.randn(shape))


@pytest.mark.parametrize("value_term", ["sum", "own"])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1, 1), (2, 3, 7, 16, 5), (1, 2, 49, 16, 32)])
def test_linear_equals_quadratic(shape, value_term):
    b, h, n, bits, e = shape
    codes, v = random_codes(b, h, n, bits), torch.randn(b, h, n, e)
    for offset in (bits + 1, 0.5 * bits):
        linear = linear_attention(codes, v, offset, value_term)
        quadratic = quadratic_attention(codes, v, offset, value_term)
        torch.testing.assert_close(linear, quadratic, rtol=1e-4, atol=1e-4)


def masked(h, v, offset, value_term, queries, weight):
    """N × N weights, of which the pairs j ≤ i of keys that count are kept."""
    kept = torch.ones(h.shape[-2], h.shape[-2]).tril() * weight[:, None, None, :]
    similarity = queries @ h.mT * kept
    own = kept @ v if value_term == "sum" else v * weight[:, None, :, None]
    denominator = similarity.sum(-1, keepdim=True) + offset * kept.sum(-1, keepdim=True)
    quotient = (similarity @ v + offset * own) / torch.where(denominator > 0, denominator, 1.0)
    return torch.where(denominator > 0, quotient, 0.0)


@pytest.mark.parametrize("value_term", ["sum", "own"])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1, 1), (2, 3, 7, 16, 5), (1, 2, 150, 16, 9)])
def test_causal_equals_the_masked_weights(shape, value_term):
    b, h, n, bits, e = shape
    codes, asking = random_codes(2, b, h, n, bits)
    v = torch.randn(b, h, n, e)
    offset = torch.full((h,), bits + 1.0)
    keys = torch.rand(b, n) < 0.7
    for queries, key_mask in ((None, None), (asking, None), (asking, keys)):
        got = linear_attention(
            codes, v, offset, value_term, queries=queries, key_mask=key_mask, mask_kind="causal"
        )
        weight = torch.ones(b, n) if key_mask is None else key_mask.float()
        asked = codes if queries is None else queries
        want = masked(codes, v, bits + 1.0, value_term, asked, weight)
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)
    full = linear_attention(codes, v, offset, value_term, queries=asking)
    so_far = linear_attention(codes, v, offset, value_term, queries=asking, mask_kind="causal")
    torch.testing.assert_close(so_far[:, :, -1], full[:, :, -1], rtol=1e-4, atol=1e-4)


def test_a_causal_layer_sees_nothing_that_comes_later():
    for exact in (False, True):
        layer = EcoFormerAttention(2, 6, AttentionConfig(code_bits=8), mask="causal")
        layer.exact = exact
        x, v = torch.randn(1, 2, 9, 6), torch.randn(1, 2, 9, 4)
        before = layer(x, x, v)
        x[:, :, 5:], v[:, :, 5:] = torch.randn(1, 2, 4, 6), torch.randn(1, 2, 4, 4)
        after = layer(x, x, v)
        torch.testing.assert_close(after[:, :, :5], before[:, :, :5])
        assert (after[:, :, 5:] != before[:, :, 5:]).any()
        keys = torch.ones(1, 9, dtype=torch.bool)
        keys[:, 0] = False
        assert layer(x, x, v, keys).isfinite().all()


def test_matches_the_weights_by_hand():
    h = torch.tensor([[[[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]]]])
    v = torch.tensor([[[[1.0], [10.0], [100.0]]]])
    # Weights of the first query with c = 3: 2+3, 0+3, -2+3.
    assert linear_attention(h, v, 3.0)[0, 0, 0].item() == pytest.approx((5 + 30 + 100) / 9)
    own = (2 * 1 + 0 * 10 - 2 * 100 + 3 * 1) / 9
    assert linear_attention(h, v, 3.0, "own")[0, 0, 0].item() == pytest.approx(own)


def test_outputs_are_convex_with_the_default_offset():
    v = torch.randn(2, 2, 9, 4)
    o = linear_attention(random_codes(2, 2, 9, 16), v, 17.0)
    assert (o <= v.amax(2, keepdim=True)).all()
    assert (o >= v.amin(2, keepdim=True)).all()


@pytest.mark.parametrize("value_term", ["sum", "own"])
def test_denominator_not_positive_gives_zero(value_term):
    rows = [[1.0, 1.0], [-1.0, -1.0], [-1.0, -1.0], [1.0, -1.0]]
    h = torch.tensor(rows).view(1, 1, 4, 2).requires_grad_()
    v = torch.randn(1, 1, 4, 4)
    for offset in (0.25, 0.5):  # the first denominators are -1 and exactly 0
        linear = linear_attention(h, v, offset, value_term)
        quadratic = quadratic_attention(h, v, offset, value_term)
        assert (linear[0, 0, 0] == 0).all()
        assert (quadratic[0, 0, 0] == 0).all()
        assert (linear[0, 0, 1] != 0).all()
        (grad,) = torch.autograd.grad(linear.sum(), h)
        assert grad.isfinite().all()


def test_softmax_mode_matches_the_definition():
    layer = Attention(12, 3)
    x = torch.randn(2, 5, 12)
    q, k, v = (
        to(x).view(2, 5, 3, 4).transpose(1, 2) for to in (layer.to_q, layer.to_k, layer.to_v)
    )
    o = torch.softmax(q @ k.mT / 2, -1) @ v
    torch.testing.assert_close(layer(x), layer.out(o.transpose(1, 2).reshape(2, 5, 12)))
    torch.testing.assert_close(softmax_attention(q, k, v), o)


@pytest.mark.parametrize("value_term", ["sum", "own"])
def test_gradients_reach_the_shared_projection_through_the_hash(value_term):
    layer = Attention(16, 2)
    layer.share_queries()
    layer.core = EcoFormerAttention(2, 8, AttentionConfig(value_term=value_term))
    # With v cut off from the input's gradient, only the codes can carry it to to_qk.
    layer(torch.randn(3, 9, 16)).square().sum().backward()
    assert layer.to_qk.weight.grad.abs().sum() > 0
    assert layer.to_v.weight.grad.abs().sum() > 0
    assert not any(p.requires_grad for p in layer.core.parameters())


def test_default_offset_is_one_more_than_the_bits():
    for given, offset in ((0, 13), (6.5, 6.5)):
        core = EcoFormerAttention(2, 4, AttentionConfig(code_bits=12, offset=given))
        assert core.offset.tolist() == [offset] * 2


def random_call(heads=3, tokens=5, dim=4):
    return [torch.randn(2, heads, tokens, dim) for _ in range(3)]


def test_engine_replaces_the_float_attention():
    core = EcoFormerAttention(3, 4, AttentionConfig(), layer=7)
    _, k, v = random_call()
    expected, calls = core(k, k, v), []

    def engine(number, queries, tokens, values, keys):
        calls.append((number, queries is tokens, values.shape, keys))
        return linear_attention(core.hash(tokens), values, core.offset)

    core.override = engine
    assert torch.equal(core(k, k, v), expected)
    assert calls == [(7, True, (2, 3, 5, 4), None)]
    core.override = lambda number, q, k, v, keys: torch.zeros_like(v)
    assert (core(k, k, v) == 0).all()


def test_exact_is_softmax_attention():
    core = EcoFormerAttention(3, 4, AttentionConfig(queries="separate"), scale=0.3)
    q, k, v = random_call()
    core.exact = True
    torch.testing.assert_close(core(q, k, v), torch.softmax(0.3 * q @ k.mT, -1) @ v)


def test_separate_queries_have_a_hash_of_their_own():
    core = EcoFormerAttention(3, 4, AttentionConfig(code_bits=6, queries="separate"))
    q, k, v = random_call()
    codes = core.query_hash(q), core.hash(k)
    want = linear_attention(codes[1], v, 7.0, queries=codes[0])
    torch.testing.assert_close(core(q, k, v), want)
    torch.testing.assert_close(quadratic_attention(codes[1], v, 7.0, queries=codes[0]), want)
    with pytest.raises(ValueError, match="^queries must be the keys with queries = 'shared'$"):
        EcoFormerAttention(3, 4, AttentionConfig())(q, k, v)


@pytest.mark.parametrize("value_term", ["sum", "own"])
def test_padding_counts_for_nothing(value_term):
    _, k, v = random_call()
    keys = torch.tensor([[True] * 5, [True, True, True, False, False]])
    config = AttentionConfig(hash="linear", code_bits=5, value_term=value_term)
    core = EcoFormerAttention(3, 4, config)
    core.offset.copy_(torch.tensor([6.0, 2.0, 9.0]))
    for attention in (SoftmaxAttention(3), core):
        o = attention(k, k, v, keys)
        whole, short = k[:1], k[1:, :, :3]
        torch.testing.assert_close(o[:1], attention(whole, whole, v[:1]))
        torch.testing.assert_close(o[1:, :, :3], attention(short, short, v[1:, :, :3]))
    quadratic = quadratic_attention(core.hash(k), v, core.offset, value_term, key_mask=keys)
    torch.testing.assert_close(quadratic[:, :, :3], o[:, :, :3])


@pytest.mark.parametrize("padded", [False, True], ids=["whole", "padded"])
@pytest.mark.parametrize(
    "queries, keys", [(1, 1), (5, 5), (64, 64), (65, 65), (130, 130), (1, 70), (3, 70), (64, 128)]
)
def test_causal_attention_sees_what_came_before(queries, keys, padded):
    torch.manual_seed(queries + keys)
    h, v = torch.randn(2, 3, keys, 8).sign(), torch.randn(2, 3, keys, 4)
    h_q = torch.randn(2, 3, queries, 8).sign()
    key_mask = torch.rand(2, keys) < 0.7 if padded else None
    terms = ["sum", "own"] if queries == keys else ["sum"]
    for term in terms:
        o = linear_attention(h, v, 9.0, term, queries=h_q, key_mask=key_mask, mask_kind="causal")
        quadratic = quadratic_attention(
            h, v, 9.0, term, queries=h_q, key_mask=key_mask, mask_kind="causal"
        )
        torch.testing.assert_close(o, quadratic)
        for i in {0, queries // 2, queries - 1}:  # as if there were nothing after it
            seen = keys - queries + i + 1
            mask = None if key_mask is None else key_mask[:, :seen]
            start = i if term == "own" else 0  # as many keys as queries
            alone = h_q[:, :, i : i + 1] if term == "sum" else h_q[:, :, : i + 1]
            want = linear_attention(
                h[:, :, :seen], v[:, :, :seen], 9.0, term, queries=alone, key_mask=mask
            )
            torch.testing.assert_close(o[:, :, i], want[:, :, start])


def test_causal_attention_of_a_core_is_softmax_while_exact():
    config = AttentionConfig(hash="linear", code_bits=5, queries="separate")
    core = EcoFormerAttention(3, 4, config, mask="causal")
    q, k, v = random_call()
    core.exact = True
    logits = (q @ k.mT / 2).masked_fill(torch.ones(5, 5).triu(1).bool(), -torch.inf)
    torch.testing.assert_close(core(q, k, v), logits.softmax(-1) @ v)
    torch.testing.assert_close(core.weights(q, k), logits.softmax(-1))
    core.exact = False
    torch.testing.assert_close(core.weights(q, k) @ v, core(q, k, v))
    assert (core.weights(q, k).triu(1) == 0).all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("hash", ["rbf", "linear"])
def test_a_hash_stays_in_float32_at_least(hash, dtype):
    core = EcoFormerAttention(3, 4, AttentionConfig(hash=hash, code_bits=40, queries="separate"))
    call = random_call()
    want, rows = core(*call), core.hash.projection.clone()
    core.to(dtype)
    found = core(*(x.to(dtype) for x in call))
    assert found.dtype == dtype
    assert core.hash.projection.dtype == (dtype if dtype == torch.float64 else torch.float32)
    assert torch.equal(core.hash.projection.float(), rows)
    codes = [core.hash(x.to(dtype)) for x in call[1:2]]
    assert set(codes[0].unique().tolist()) == {-1.0, 1.0}
    if dtype == torch.float64:
        torch.testing.assert_close(found.float(), want)
    long = torch.ones(1, 3, 4096, 4)  # more than half precision can count
    o = core(long.to(dtype), long.to(dtype), long.to(dtype))
    torch.testing.assert_close(o.float(), long)


def test_observer_sees_tokens_and_values_and_is_taken_away():
    layer = Attention(12, 3, layer=2)
    x, seen = torch.randn(2, 5, 12), []
    with pytest.raises(KeyError), observed([layer.core], lambda *call: seen.append(call)):
        layer(x)
        raise KeyError
    assert layer.core.observer is None
    ((number, *tokens, keys),) = seen
    assert (number, keys) == (2, None)
    for token, projection in zip(tokens, (layer.to_q, layer.to_k, layer.to_v)):
        assert torch.equal(token.transpose(1, 2).reshape(2, 5, 12), projection(x))


def test_record_keeps_the_calls_of_every_layer():
    cores = [SoftmaxAttention(3, layer=layer) for layer in (4, 4)]
    first, second = random_call(), random_call()
    tape = record(cores, lambda: (cores[1](*first), cores[1](*second), cores[0](*second)))
    assert [len(calls) for calls in tape] == [1, 2]
    assert tape[1][0].q is first[0] and tape[1][1].v is second[2] and tape[0][0].k is second[1]
    assert cores[0].observer is None
    keys = torch.tensor([[True, False, True, False, False], [False] * 5])
    call = Call(*first, keys)
    assert torch.equal(call.present(1, call.v), first[2][0, 1, [0, 2]])


@pytest.mark.parametrize(
    "field, value, error, text",
    [
        ("code_bits", 0, ValueError, "^code_bits must be 1…8192, not 0$"),
        ("anchors", 2.0, TypeError, "^anchors must be an integer, not 2.0$"),
        ("value_term", "all", ValueError, "^value_term must be 'sum' or 'own', not 'all'$"),
        ("offset", -1, ValueError, "^offset must be 0…32, not -1$"),
        ("offset", float("inf"), ValueError, "^offset must be 0…32, not inf$"),
        ("hash", "codes", ValueError, "^hash must be 'rbf' or 'linear' or 'hada.*, not 'codes'$"),
        ("weights", "int4", ValueError, "^weights must be 'int8' or 'pow2' or 'ternary' or"),
        ("queries", "own", ValueError, "^queries must be 'shared' or 'separate', not 'own'$"),
        ("normalise", 1, TypeError, "^normalise must be true or false, not 1$"),
        ("offset", True, TypeError, "^offset must be a number, not True$"),
    ],
)
def test_bad_config_is_refused(field, value, error, text):
    with pytest.raises(error, match=text):
        AttentionConfig(**{field: value})


def test_bad_width_is_refused():
    with pytest.raises(ValueError, match="^width must be a multiple of heads = 3, not 16$"):
        Attention(16, 3)
