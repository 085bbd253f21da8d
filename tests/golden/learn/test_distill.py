# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from ecoformer.golden.attention import EcoFormerAttention
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.learn.descent import descend
from ecoformer.golden.learn.distill import (
    OBJECTIVES,
    DistillConfig,
    _attention_loss,
    _output_loss,
    distil_layer,
    exact_outputs,
    start_hashes,
)
from ecoformer.golden.recording import Call

HEADS, TOKENS, DIM = 2, 20, 8


def make_calls(count=6, seed=0, padded=True):
    """Tokens around a few directions, so that the attention is far from uniform."""
    centres = 2 * torch.randn(HEADS, 4, DIM, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(seed)
    calls = []
    for _ in range(count):
        which = torch.randint(4, (3, TOKENS), generator=generator)
        x = centres[:, which].transpose(0, 1)
        q, k = (x + torch.randn(x.shape, generator=generator) for _ in range(2))
        v = x + torch.randn(x.shape, generator=generator)
        keys = torch.arange(TOKENS) < torch.tensor([[TOKENS], [12], [7]])
        calls.append(Call(q, k, v, keys if padded else None))
    return calls


def make_core(**config):
    config = {"hash": "linear", "code_bits": 12, "queries": "separate", "anchors": 9, **config}
    return EcoFormerAttention(HEADS, DIM, AttentionConfig(**config))


def learn(core, calls, seed=0, **config):
    generator = torch.Generator().manual_seed(seed)
    start_hashes(core, calls, generator)
    core.offset.data.fill_(core.config.code_bits / 2)
    config = DistillConfig(**{"steps": 40, **config})
    return distil_layer(core, calls, exact_outputs(core, calls), config, generator)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("weights", ["int8", "pow2", "ternary"])
@pytest.mark.parametrize("hash", ["rbf", "linear"])
def test_a_layer_learns(hash, weights, objective):
    loss = {"output": _output_loss, "attention": _attention_loss}[objective]
    new, losses = make_calls(5, seed=1), []  # what it never saw
    for steps in (0, 40):
        core = make_core(hash=hash, weights=weights)
        history = learn(core, make_calls(10), steps=steps, objective=objective)
        with torch.no_grad():
            found = [loss(core, *item).mean() for item in zip(new, exact_outputs(core, new))]
        losses.append(torch.stack(found).median())
    assert min(history) < 0.9 * history[0]
    assert losses[1] < 0.9 * losses[0]
    assert not any(p.requires_grad or p.grad is not None for p in core.parameters())


def test_shared_queries_learn():
    calls = [Call(c.k, c.k, c.v, c.key_mask) for c in make_calls()]
    history = learn(make_core(queries="shared"), calls)
    assert min(history) < 0.9 * history[0]


def test_equal_seeds_give_equal_hashes():
    one, two, other = (make_core() for _ in range(3))
    for core, seed in ((one, 3), (two, 3), (other, 4)):
        learn(core, make_calls(), seed, steps=5)
    for name, value in one.state_dict().items():
        assert torch.equal(value, two.state_dict()[name])
    assert not torch.equal(one.hash.projection, other.hash.projection)


def test_offset_stays_in_the_range_of_the_hardware_or_as_it_is():
    core = make_core()
    core.scale = 1e-9  # uniform attention: the larger the offset, the better
    core.offset.data.fill_(24)
    calls = make_calls()
    start_hashes(core, calls, generator := torch.Generator().manual_seed(0))
    config = DistillConfig(lr=0.5, steps=20)
    history = distil_layer(core, calls, exact_outputs(core, calls), config, generator)
    assert min(history) < history[0]
    assert (core.offset <= 24).all()
    core = make_core()
    learn(core, make_calls(), learn_offset=False)
    assert core.offset.tolist() == [6.0, 6.0]


def test_padding_teaches_nothing():
    calls = make_calls()
    garbled = []
    for call in calls:
        there = call.key_mask[:, None, :, None]
        rubbish = [torch.where(there, x, 100 * torch.randn_like(x)) for x in (call.q, call.k)]
        garbled.append(Call(*rubbish, torch.where(there, call.v, -50), call.key_mask))
    for objective in OBJECTIVES:
        one, two = make_core(), make_core()
        learn(one, calls, steps=5, objective=objective)
        learn(two, garbled, steps=5, objective=objective)
        torch.testing.assert_close(one.hash.projection, two.hash.projection)


def test_divergence_by_hand():
    core = make_core(code_bits=2)
    core.scale = 1.0
    for hashing in core.hashes:
        hashing.projection.copy_(torch.eye(2, DIM).expand(HEADS, 2, DIM))
    core.offset.data.fill_(3.0)
    x = torch.zeros(1, HEADS, 2, DIM)
    x[..., 0, :2] = torch.tensor([1.0, 1.0])
    x[..., 1, :2] = torch.tensor([-1.0, 1.0])
    # Weights of both queries: (2 + 3, 0 + 3) / 8; logits: (2, 0).
    wanted = torch.softmax(torch.tensor([2.0, 0.0]), 0)
    want = (wanted * (wanted / torch.tensor([5 / 8, 3 / 8])).log()).sum()
    torch.testing.assert_close(_attention_loss(core, Call(x, x, x), None), want.expand(HEADS))


def test_each_head_keeps_its_own_best_step():
    p = torch.nn.Parameter(torch.tensor([[0.0], [3.0]]), requires_grad=False)
    target = torch.tensor([[2.0], [3.0]])  # the second head begins at its best

    def loss(item):
        return (p - target + item).square().sum(1)

    descend(
        [p], loss, [0.5, -0.5], [0.0], steps=40, lr=0.3, generator=torch.Generator()
    )
    assert p[1].item() == 3.0
    assert abs(p[0].item() - 2.0) < 0.3


def test_the_held_out_part_decides():
    p = torch.nn.Parameter(torch.tensor([0.0]))
    history = descend(
        [p], lambda item: (p - item).square(), [5.0], [1.0], steps=100, lr=0.2,
        generator=torch.Generator(),
    )
    assert abs(p.item() - 1.0) < 0.5 < abs(p.item() - 5.0)
    assert history[-1] > min(history)


def test_diverging_loss_is_refused_and_nothing_keeps_a_gradient():
    p = torch.nn.Parameter(torch.tensor([1.0]), requires_grad=False)
    with pytest.raises(FloatingPointError, match="^the loss is nan in step 1; lower the learning"):
        descend(
            [p], lambda item: p * item, [float("nan")], [1.0], steps=3, lr=0.02,
            generator=torch.Generator(),
        )
    assert p.grad is None and not p.requires_grad


@pytest.mark.parametrize(
    "tokens, value, text",
    [
        (3, None, "^calibration must have at least 9 tokens for 9 anchors, not 6$"),
        (20, 1.0, "^tokens of head 0 must differ to learn a hash from them$"),
        (20, float("inf"), "^tokens must be finite numbers to learn a hash from$"),
    ],
)
def test_useless_calibration_is_refused(tokens, value, text):
    x = torch.randn(2, HEADS, tokens, DIM)
    x = x if value is None else torch.full_like(x, value)
    with pytest.raises(ValueError, match=text):
        start_hashes(make_core(hash="rbf"), [Call(x, x, x)], torch.Generator())


def test_one_batch_is_too_few():
    with pytest.raises(ValueError, match="^calibration must be at least 2 batches"):
        learn(make_core(), make_calls(1))


@pytest.mark.parametrize(
    "field, value, error, text",
    [
        ("objective", "labels", ValueError, "^objective must be 'output' or 'attention', not"),
        ("steps", -1, ValueError, "^steps must be 0…1000000, not -1$"),
        ("lr", "1", TypeError, "^lr must be a number, not '1'$"),
        ("held_out", 1.0, ValueError, "^held_out must be 0…0.9, not 1.0$"),
        ("learn_offset", 1, TypeError, "^learn_offset must be true or false, not 1$"),
    ],
)
def test_bad_config_is_refused(field, value, error, text):
    with pytest.raises(error, match=text):
        DistillConfig(**{field: value})


def test_a_descent_in_less_precision_sees_its_own_steps():
    """Autocast keeps the weights that it has converted, which are others after every step."""
    weight = torch.nn.Parameter(torch.zeros(4, 4))
    x = torch.randn(32, 4, generator=torch.Generator().manual_seed(0))

    def loss(scale):
        return (torch.nn.functional.linear(x, weight).float() - scale * x).square().mean()

    with torch.autocast("cpu", torch.bfloat16):
        history = descend(
            [weight], loss, [1.0, 1.0], [1.0], steps=60, lr=0.2, generator=torch.Generator()
        )
    assert history[-1] < 0.01 * history[0]
