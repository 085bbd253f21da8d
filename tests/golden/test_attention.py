import pytest
import torch

from golden.attention import (
    Attention,
    AttentionConfig,
    linear_attention,
    observed,
    quadratic_attention,
    softmax_attention,
)
from golden.hashing import sign


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
    layer = Attention(16, 2, AttentionConfig(value_term=value_term))
    # With v cut off from the input's gradient, only the codes can carry it to to_qk.
    layer(torch.randn(3, 9, 16)).square().sum().backward()
    assert layer.to_qk.weight.grad.abs().sum() > 0
    assert layer.to_v.weight.grad.abs().sum() > 0
    assert not layer.hash.projection.requires_grad


def test_default_offset_is_one_more_than_the_bits():
    assert Attention(8, 2, AttentionConfig(code_bits=12)).offset == 13
    assert Attention(8, 2, AttentionConfig(code_bits=12, offset=6.5)).offset == 6.5


def test_core_replaces_the_float_core():
    layer = Attention(12, 3, AttentionConfig(), layer=7)
    x = torch.randn(2, 5, 12)
    expected = layer(x)
    calls = []

    def core(number, tokens, values):
        calls.append((number, tokens.shape, values.shape))
        return linear_attention(layer.hash(tokens), values, layer.offset)

    layer.core = core
    assert torch.equal(layer(x), expected)
    assert calls == [(7, (2, 3, 5, 4), (2, 3, 5, 4))]
    layer.core = lambda number, tokens, values: torch.zeros_like(values)
    torch.testing.assert_close(layer(x), layer.out.bias.expand(2, 5, 12))


def test_core_is_refused_in_softmax_mode():
    layer = Attention(12, 3)
    layer.core = print
    with pytest.raises(ValueError, match="^core must be None in softmax mode"):
        layer(torch.randn(2, 5, 12))


def test_observer_sees_tokens_and_values_and_is_taken_away():
    layer = Attention(12, 3, layer=2)
    x, seen = torch.randn(2, 5, 12), []
    with pytest.raises(KeyError), observed([layer], lambda *call: seen.append(call)):
        layer(x)
        raise KeyError
    assert layer.observer is None
    ((number, q, v),) = seen
    assert number == 2
    assert torch.equal(q.transpose(1, 2).reshape(2, 5, 12), layer.to_q(x))
    assert torch.equal(v.transpose(1, 2).reshape(2, 5, 12), layer.to_v(x))


@pytest.mark.parametrize(
    "field, value, error, text",
    [
        ("code_bits", 0, ValueError, "^code_bits must be at least 1, not 0$"),
        ("anchors", 2.0, TypeError, "^anchors must be an integer, not 2.0$"),
        ("value_term", "all", ValueError, "^value_term must be 'sum' or 'own', not 'all'$"),
        ("offset", -1, ValueError, "^offset must be at least 0, not -1$"),
        ("offset", float("inf"), ValueError, "^offset must be at least 0, not inf$"),
        ("offset", True, TypeError, "^offset must be a number, not True$"),
    ],
)
def test_bad_config_is_refused(field, value, error, text):
    with pytest.raises(error, match=text):
        AttentionConfig(**{field: value})


def test_bad_width_is_refused():
    with pytest.raises(ValueError, match="^width must be a multiple of heads = 3, not 16$"):
        Attention(16, 3)
