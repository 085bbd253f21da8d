import pytest
import torch
from torch.nn.functional import normalize

from golden.attention import AttentionConfig
from golden.hashing import KernelHash, sign
from golden.ksh import HashLearning, learn_hash, learn_hashes, pair_labels, separation
from golden.network import NetworkConfig, VisionTransformer, record


def clustered_tokens(images=4, heads=2, tokens=30, dim=8, seed=0):
    """Tokens around three directions per head, so that similarity has something to find."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(heads, 3, dim, generator=generator)
    which = torch.randint(3, (images, heads, tokens), generator=generator)
    x = torch.stack([centres[h][which[:, h]] for h in range(heads)], 1)
    return x + 0.5 * torch.randn(x.shape, generator=generator)


def learned(seed=0, x=None, **config):
    x = clustered_tokens() if x is None else x
    hash = KernelHash(x.shape[1], x.shape[3], 8, 12)
    config = HashLearning(**{"iterations": 30, **config})
    curve = learn_hash(hash, x, x @ x.mT, torch.Generator().manual_seed(seed), config)
    return hash, curve


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_relaxed_loss_falls(optimizer):
    _, curve = learned(optimizer=optimizer)
    assert curve.shape == (8, 31, 2)
    fall = curve[:, 0] - curve[:, -1]  # [b, H]
    assert fall.mean() > 0
    assert (fall > 0).float().mean() > 0.9  # the last bits have little left to explain


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_separation_is_above_chance(optimizer):
    x = clustered_tokens()
    hash, _ = learned(x=x, optimizer=optimizer)
    # A token is always like itself, hence a little more than one half for random codes.
    assert 0.5 < separation(sign(torch.randn(4, 2, 30, 8)), x @ x.mT) < 0.6
    assert separation(hash(x), x @ x.mT) > 0.85


def test_learning_improves_on_the_starting_point():
    x = clustered_tokens()
    start, best = (learned(iterations=steps)[0] for steps in (0, 100))
    assert separation(best(x), x @ x.mT) > separation(start(x), x @ x.mT) + 0.01


def test_first_gradient_matches_autograd():
    x = clustered_tokens()
    hash, curve = learned(iterations=1, optimizer="sgd")
    kernel = hash.kernel(x) - hash.mean[:, None]
    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        torch.randperm(30, generator=generator)  # the anchors of each head
    a = torch.randn(2, 8, 12, generator=generator)[:, 0].requires_grad_()
    residual = 8 * pair_labels(x @ x.mT)

    def loss(a):
        y = 2 * torch.sigmoid(torch.einsum("bhnm,hm->bhn", kernel, a)) - 1
        return -torch.einsum("bhi,bhij,bhj->bh", y, residual, y).mean(0) / (30 * 8)

    (grad,) = torch.autograd.grad(loss(a).sum(), a)
    # The first step of SGD with Nesterov momentum 0.9 from rest is 1.9 times the plain one.
    torch.testing.assert_close(curve[0, 0], loss(a).detach())
    torch.testing.assert_close(curve[0, 1], loss(a - 5e-4 * 1.9 * grad).detach())


def test_a_new_bit_is_kept_only_where_the_signed_loss_fell():
    x = clustered_tokens()
    before, _ = learned(iterations=0)
    after, _ = learned(iterations=30)
    residual = 8 * pair_labels(x @ x.mT)
    for r in range(8):
        old, new = (hash(x)[..., r] for hash in (before, after))

        def energy(y, residual=residual):
            return torch.einsum("bhi,bhij,bhj->h", y, residual, y)

        kept = (before.projection[:, r] == after.projection[:, r]).all(-1)
        assert (kept | (energy(new) > energy(old))).all()
        residual = residual - new[..., :, None] * new[..., None, :]


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
    similarity = torch.tensor([[5.0, 4, 3, 2, 1, 0]]).repeat(6, 1)[None, None]
    labels = pair_labels(similarity, pairs=2)[0, 0]
    rows = torch.tensor([1.0, 1, 0, 0, -1, -1]).repeat(6, 1)
    assert torch.equal(labels, (rows + rows.T) / 2)
    few = pair_labels(similarity[..., :3, :3], pairs=10)  # at most N/2 = 1 of each
    assert few.sum() == 0


def test_separation_of_known_codes():
    similarity = torch.tensor([[2.0, 1.0], [1.0, 2.0]])[None, None]
    right = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])[None, None]
    assert separation(right, similarity) == 1.0
    assert separation(right, -similarity) == 0.0
    assert separation(torch.ones(1, 1, 2, 2), similarity) == 0.5


def test_layers_learn_in_one_pass_and_see_replaced_inputs():
    torch.manual_seed(0)
    network = NetworkConfig(image_size=8, patch=2, width=8, heads=2, depth=2)
    model = VisionTransformer(network, AttentionConfig(code_bits=4, anchors=5)).eval()
    images = torch.randint(0, 256, (6, 1, 8, 8), dtype=torch.uint8)
    curves = learn_hashes(model, images, seed=1, config=HashLearning(iterations=5))
    assert [curve.shape for curve in curves] == [(4, 6, 2)] * 2
    for layer, (x, _) in zip(model.attention_layers(), record(model, images), strict=True):
        assert layer.hash.bandwidth == "frozen"
        assert layer.observer is None
        # Only tokens that passed the finished layers before can be the calibration tokens.
        torch.testing.assert_close(layer.hash.mean, layer.hash.kernel(x).mean((0, 2)))


@pytest.mark.parametrize(
    "field, value, error, text",
    [
        ("optimizer", "lion", ValueError, "^optimizer must be 'sgd' or 'adam', not 'lion'$"),
        ("iterations", -1, ValueError, "^iterations must be at least 0, not -1$"),
        ("pairs", 0, ValueError, "^pairs must be at least 1, not 0$"),
    ],
)
def test_bad_config_is_refused(field, value, error, text):
    with pytest.raises(error, match=text):
        HashLearning(**{field: value})
