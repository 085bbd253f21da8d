# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from benchmarks.plain_ksh import dense_labels, plain_ksh
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.hashing import KernelHash, LinearHash, sign
from ecoformer.golden.learn import ksh
from ecoformer.golden.learn.ksh import (
    OPTIMIZERS,
    GreedyBits,
    KshConfig,
    PairLabels,
    learn_hash,
)
from ecoformer.golden.learn.networks import learn_hashes
from ecoformer.golden.networks.vit import NetworkConfig, VisionTransformer
from ecoformer.golden.separation import separation
from tests.golden.small import make_tape


def clustered_tokens(images=4, heads=2, tokens=30, dim=8, seed=0):
    """Tokens around three directions per head, so that similarity has something to find."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(heads, 3, dim, generator=generator)
    which = torch.randint(3, (images, heads, tokens), generator=generator)
    x = torch.stack([centres[h][which[:, h]] for h in range(heads)], 1)
    return x + 0.5 * torch.randn(x.shape, generator=generator)


def separated(codes, x):
    return separation(codes, x @ x.mT).mean().item()


def learned(seed=0, x=None, **config):
    x = clustered_tokens() if x is None else x
    hash = KernelHash(x.shape[1], x.shape[3], 8, 12)
    config = KshConfig(**{"iterations": 30, **config})
    curve = learn_hash(hash, x, torch.Generator().manual_seed(seed), config)
    return hash, curve


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_relaxed_loss_falls(optimizer):
    _, curve = learned(optimizer=optimizer)
    assert curve.shape == (8, 31, 2)
    fall = curve[:, 0] - curve[:, -1]  # [b, H]
    assert fall.mean() > 0
    assert (fall > 0).float().mean() > 0.9  # the last bits have little left to explain


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_separation_is_above_chance(optimizer):
    x = clustered_tokens()
    hash, _ = learned(x=x, optimizer=optimizer)
    # A token is always like itself, hence a little more than one half for random codes.
    assert 0.5 < separated(sign(torch.randn(4, 2, 30, 8)), x) < 0.6
    assert separated(hash(x), x) > 0.85


def test_learning_improves_on_the_starting_point():
    x = clustered_tokens()
    start, best = (learned(iterations=steps)[0] for steps in (0, 100))
    assert separated(best(x), x) > separated(start(x), x) + 0.01


def centred(hash, x):
    features = hash.features(x)
    return features - features.mean((0, 2), keepdim=True)


def residual_of(x, bits=8):
    """b·labels [B, H, N, N], dense."""
    similarity = (x @ x.mT).flatten(0, 1)
    return bits * torch.stack([dense_labels(one) for one in similarity]).view(*x.shape[:3], -1)


def test_first_gradient_matches_autograd():
    x = clustered_tokens()
    hash, curve = learned(iterations=1, optimizer="sgd")
    kernel, residual = centred(hash, x), residual_of(x)
    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        torch.randperm(30, generator=generator)  # the anchors of each head
    a = torch.randn(2, 8, 12, generator=generator)[:, 0].requires_grad_()

    def loss(a):
        y = 2 * torch.sigmoid(torch.einsum("bhnm,hm->bhn", kernel, a)) - 1
        return -torch.einsum("bhi,bhij,bhj->bh", y, residual, y).mean(0) / (30 * 8)

    (grad,) = torch.autograd.grad(loss(a).sum(), a)
    # The first step of SGD with Nesterov momentum 0.9 from rest is 1.9 times the plain one.
    torch.testing.assert_close(curve[0, 0], loss(a).detach())
    torch.testing.assert_close(curve[0, 1], loss(a - 5e-4 * 1.9 * grad).detach())


@pytest.mark.parametrize("weights", ["int8", "pow2", "ternary"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_matches_plain_loops_over_heads_and_bits(optimizer, weights):
    x = clustered_tokens(images=1, tokens=70)
    hash = LinearHash(2, 8, 6, weights, normalise=True)
    config = KshConfig(optimizer=optimizer, iterations=20)
    learn_hash(hash, x, torch.Generator().manual_seed(5), config)
    start = torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(5))
    rows, _ = plain_ksh(centred(hash, x)[0], (x @ x.mT)[0], start, config, weights)
    rescaled = hash.projection / hash.projection.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(
        rescaled, rows / rows.norm(dim=-1, keepdim=True), atol=2e-3, rtol=2e-3
    )


def test_whitened_steps_reach_a_lower_loss_in_fewer():
    x = clustered_tokens(images=1, tokens=200)

    def left(optimizer, iterations):
        hash, _ = learned(x=x, optimizer=optimizer, iterations=iterations)
        code = hash(x)[0]
        return (residual_of(x)[0] - code @ code.mT).square().mean().item()

    found = left("whitened", 25)
    assert found < left("adam", 100) < left("sgd", 100)
    assert found < left("whitened", 3) < left("whitened", 0)


def test_whitened_features_are_uncorrelated():
    features = np.random.default_rng(0).normal(size=(2, 50, 4)).cumsum(-1).astype(np.float32)
    features -= features.mean(1, keepdims=True)
    labels = PairLabels.of_tokens(torch.randn(1, 2, 50, 3))
    to, back = GreedyBits(features, labels, 4, "int8").whitening
    np.testing.assert_allclose(to @ back, np.broadcast_to(np.eye(4), (2, 4, 4)), atol=1e-5)
    white = features @ back
    covariance = white.swapaxes(1, 2) @ white / 50
    np.testing.assert_allclose(covariance, np.broadcast_to(np.eye(4), (2, 4, 4)), atol=0.1)


def test_a_new_bit_is_kept_only_where_the_signed_loss_fell():
    x = clustered_tokens()
    before, _ = learned(iterations=0)
    after, _ = learned(iterations=30)
    residual = residual_of(x)
    for r in range(8):
        old, new = (hash(x)[..., r] for hash in (before, after))

        def energy(y, residual=residual):
            return torch.einsum("bhi,bhij,bhj->h", y, residual, y)

        kept = (before(x)[..., r] == after(x)[..., r]).all(-1).all(0)
        assert (kept | (energy(new) > energy(old))).all()
        residual = residual - new[..., :, None] * new[..., None, :]


def test_the_spectral_start_is_better_than_a_random_one():
    x = clustered_tokens()
    spectral, random = (
        learned(iterations=0, start=start)[0] for start in ("spectral", "random")
    )
    assert separated(spectral(x), x) > separated(random(x), x) + 0.01


def test_the_spectral_start_maximises_the_relaxed_objective():
    x = clustered_tokens(images=1)
    hash, _ = learned(x=x, iterations=0, start="spectral")
    features, residual = centred(hash, x)[0], residual_of(x)[0]
    labels = PairLabels.of_tokens(x)
    found = torch.from_numpy(GreedyBits(features.numpy(), labels, 8, "int8").spectral())

    def quotient(a):
        y = torch.einsum("hnf,hf->hn", features, a)
        return torch.einsum("hi,hij,hj->h", y, residual, y) / y.square().sum(1)

    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        near = found * (1 + 0.1 * torch.randn(found.shape, generator=generator))
        assert (quotient(found) > quotient(near) - 1e-3).all()


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_values_have_unit_mean_square(optimizer):
    x = clustered_tokens()
    hash, _ = learned(x=x, optimizer=optimizer)
    torch.testing.assert_close(hash.project(x).square().mean((0, 2)), torch.ones(2, 8))


def test_equal_seeds_equal_hashes():
    (one, curve), (two, again), (other, _) = learned(3), learned(3), learned(4)
    for name, value in one.state_dict().items():
        assert torch.equal(value, two.state_dict()[name])
    assert torch.equal(curve, again)
    assert not torch.equal(one.projection, other.projection)


def test_anchors_are_unit_tokens_of_the_first_image():
    x = clustered_tokens()
    hash, _ = learned(iterations=0)
    for head in range(2):
        distance = torch.cdist(hash.anchors[head], normalize(x[0, head], dim=-1))
        assert (distance.amin(1) < 1e-3).all()
        assert len(distance.argmin(1).unique()) == 12
    short, _ = learned(x=clustered_tokens(tokens=5), iterations=0)
    assert short.anchors.shape == (2, 12, 8)


def test_labels_mark_the_extremes_of_a_row():
    similarity = torch.tensor([[5.0, 4, 3, 2, 1, 0]]).repeat(6, 1)
    rows = torch.tensor([1.0, 1, 0, 0, -1, -1]).repeat(6, 1)
    for labels in (
        dense_labels(similarity, pairs=2),
        PairLabels.of_similarity(similarity[None, None], 2).matrix.to_dense(),
    ):
        assert torch.equal(labels, (rows + rows.T) / 2)
    few = PairLabels.of_similarity(similarity[None, None, :3, :3], 10)  # at most N/2 = 1 of each
    assert few.matrix.sum() == 0


def test_sparse_labels_act_as_dense_ones(monkeypatch):
    x = clustered_tokens()
    y = torch.randn(2, 4, 30, 3, generator=torch.Generator().manual_seed(0))
    want = torch.einsum("bhij,hbjf->hbif", residual_of(x, 1), y).numpy()
    y = y.numpy()
    for rows in (1, 10_000, 10**9):  # however many rows are compared at a time
        monkeypatch.setattr(ksh, "ROWS_AT_ONCE", rows)
        np.testing.assert_allclose(PairLabels.of_tokens(x) @ y, want, atol=1e-5)
    np.testing.assert_allclose(PairLabels.of_similarity(x @ x.mT) @ y, want, atol=1e-5)
    one = np.ascontiguousarray(y[..., :1])
    np.testing.assert_allclose(PairLabels.of_tokens(x) @ one, want[..., :1], atol=1e-5)


@pytest.mark.parametrize("value, text", [(1.0, "head 0 must differ"), (float("nan"), "finite")])
def test_useless_tokens_are_refused(value, text):
    hash = KernelHash(2, 8, 4, 5)
    with pytest.raises(ValueError, match=text):
        learn_hash(hash, torch.full((1, 2, 9, 8), value), torch.Generator())


def test_layers_learn_in_one_pass_and_see_replaced_inputs():
    torch.manual_seed(0)
    network = NetworkConfig(image_size=8, patch=2, width=8, heads=2, depth=2)
    model = VisionTransformer(network, AttentionConfig(code_bits=4, anchors=5)).eval()
    images = torch.randint(0, 256, (6, 1, 8, 8), dtype=torch.uint8)
    curves = learn_hashes(model, images, seed=1, config=KshConfig(iterations=5))
    assert [curve.shape for curve in curves] == [(4, 6, 2)] * 2
    for layer, (call,) in zip(model.attention_layers(), make_tape(model, images), strict=True):
        assert layer.hash.frozen
        assert layer.observer is None
        # Only tokens that passed the finished layers before can be the calibration tokens.
        mean = layer.hash.project(call.k).mean((0, 2))
        torch.testing.assert_close(mean, torch.zeros_like(mean), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "field, value, error, text",
    [
        ("optimizer", "lion", ValueError, "^optimizer must be 'sgd' or 'adam' or 'whitened', n"),
        ("start", "zero", ValueError, "^start must be 'random' or 'spectral', not 'zero'$"),
        ("iterations", -1, ValueError, "^iterations must be 0…1000000, not -1$"),
        ("pairs", 0, ValueError, "^pairs must be 1…1000000, not 0$"),
    ],
)
def test_bad_config_is_refused(field, value, error, text):
    with pytest.raises(error, match=text):
        KshConfig(**{field: value})
