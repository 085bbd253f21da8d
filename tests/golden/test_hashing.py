# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
from torch.nn.functional import normalize

from ecoformer.golden.hashing import KernelHash, LinearHash, SignSTE, sign


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def reference_codes(hash, x):
    """The paper's equations, written out token by token."""
    codes = torch.empty(*x.shape[:3], hash.code_bits)
    for image, head in torch.cartesian_prod(*map(torch.arange, x.shape[:2])).tolist():
        units = [token / token.norm() for token in x[image, head]]
        distances = torch.stack(
            [
                torch.stack([(unit - anchor).square().sum() for anchor in hash.anchors[head]])
                for unit in units
            ]
        )
        sigma = hash.sigma[head] if hash.frozen else distances.mean()
        for token, distance in enumerate(distances):
            kernel = torch.exp(-distance / (2 * sigma))
            codes[image, head, token] = sign(hash.rows[head] @ kernel - hash.threshold[head])
    return codes


@pytest.mark.parametrize("frozen", [False, True], ids=["per_sequence", "frozen"])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 7, 5)])
def test_matches_the_equations(shape, frozen):
    x = 3 * torch.randn(shape)
    hash = KernelHash(shape[1], shape[3], 11, 6)
    if frozen:
        hash.calibrate(x)
    hash.threshold.uniform_(-0.5, 0.5)
    assert hash.frozen == frozen
    assert torch.equal(hash(x), reference_codes(hash, x))


def test_tie_is_plus_one():
    y = torch.tensor([-1e-30, -0.0, 0.0, 1e-30])
    assert sign(y).tolist() == [-1, 1, 1, 1]
    assert SignSTE.apply(y).tolist() == [-1, 1, 1, 1]
    hash = KernelHash(1, 4, 3, 2)
    hash.projection.zero_()
    assert (hash(torch.randn(1, 1, 5, 4)) == 1).all()


def test_gradient_passes_inside_one():
    y = torch.tensor([-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5], requires_grad=True)
    SignSTE.apply(y).sum().backward()
    assert y.grad.tolist() == [0, 0, 1, 1, 1, 0, 0]


def test_zero_token_has_zero_dot_products_and_finite_gradient():
    hash = KernelHash(2, 4, 8, 5)
    x = torch.randn(1, 2, 3, 4)
    hash.calibrate(x)
    x[0, 0, 1] = 0
    x.requires_grad_()
    assert torch.equal(hash.distance(x)[0, 0, 1], 1 + hash.anchors[0].square().sum(-1))
    hash.project(x).sum().backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("family, anchors", [(KernelHash, [6]), (LinearHash, [])])
def test_codes_are_the_same_where_the_network_runs_in_less_precision(family, anchors):
    x = torch.randn(1, 2, 400, 8)
    hash = family(2, 8, 16, *anchors)
    hash.calibrate(x)
    with torch.autocast("cpu", torch.bfloat16):
        found = hash(x)
    assert torch.equal(found, hash(x))


def test_code_does_not_depend_on_scale():
    hash = KernelHash(2, 8, 16, 25)
    x = torch.randn(2, 2, 9, 8)
    hash.calibrate(x)
    # Powers of two scale exactly, so not one bit may differ.
    assert torch.equal(hash(x), hash(x * 64))


def test_calibrate_freezes_sigma_and_centres():
    hash = KernelHash(2, 8, 16, 25)
    x = torch.randn(4, 2, 9, 8)
    hash.calibrate(x)
    distance = (normalize(x, dim=-1)[..., None, :] - hash.anchors[:, None]).square().sum(-1)
    torch.testing.assert_close(hash.sigma, distance.mean((0, 2, 3)))
    kernel = torch.exp(-distance / (2 * hash.sigma[:, None, None]))
    torch.testing.assert_close(hash.features(x), kernel)
    torch.testing.assert_close(hash.project(x).mean((0, 2)), torch.zeros(2, 16), atol=1e-5, rtol=0)


def test_freeze_centres_for_the_given_sigma():
    hash = KernelHash(2, 8, 16, 25)
    x = torch.randn(4, 2, 9, 8)
    hash.freeze([0.5, 2.0], x)
    assert hash.sigma.tolist() == [0.5, 2.0]
    mean = hash.features(x).mean((0, 2))
    torch.testing.assert_close(hash.threshold, (hash.rows @ mean[..., None])[..., 0])
    assert mean[0].mean() < mean[1].mean()


def test_frozen_bandwidth_ignores_the_other_tokens():
    hash = KernelHash(1, 8, 16, 25)
    x = torch.randn(1, 1, 20, 8)
    part = hash.features(x[:, :, :5])
    assert not torch.allclose(part, hash.features(x)[:, :, :5])
    hash.calibrate(x)
    torch.testing.assert_close(hash.features(x[:, :, :5]), hash.features(x)[:, :, :5])


def test_state_dict_keeps_the_bandwidth():
    hash = KernelHash(2, 8, 16, 25)
    x = torch.randn(4, 2, 9, 8)
    hash.calibrate(x)
    other = KernelHash(2, 8, 16, 25)
    other.load_state_dict(hash.state_dict())
    assert other.frozen
    assert torch.equal(other(x), hash(x))


@pytest.mark.parametrize("sigma", [[0.0, 1.0], [float("nan"), 1.0]])
def test_bad_sigma_is_refused(sigma):
    with pytest.raises(ValueError, match="^sigma must be positive, not"):
        KernelHash(2, 8, 16, 25).freeze(sigma, torch.randn(1, 2, 3, 8))


def test_bad_shapes_are_refused():
    hash = KernelHash(2, 8, 16, 25)
    with pytest.raises(ValueError, match=r"^sigma must have shape \[2\], not \[3\]$"):
        hash.freeze([1.0, 1.0, 1.0], torch.randn(1, 2, 3, 8))
    with pytest.raises(ValueError, match=r"^tokens must have shape \[B, 2, N, 8\], not"):
        hash(torch.randn(1, 1, 3, 8))
    with pytest.raises(ValueError, match="^code_bits must be 1…8192, not 0$"):
        KernelHash(2, 8, 0, 25)


def test_a_tie_is_positive_or_zero():
    x = torch.tensor([[[[1.0, 0.0]]]])
    for tie, bit in (("positive", 1.0), ("zero", 0.0)):
        hash = LinearHash(1, 2, 1, tie=tie)
        hash.projection.copy_(torch.tensor([[[0.0, 1.0]]]))
        assert hash(x).item() == bit


def test_the_bandwidth_of_each_sequence_stays():
    x = torch.randn(4, 2, 9, 8)
    hash = KernelHash(2, 8, 16, 25, "float", bandwidth="per-sequence")
    hash.calibrate(x)
    assert not hash.frozen
    assert hash.project(x).mean((0, 2)).abs().max() < 1e-4  # centred
    alone = torch.cat([hash.project(sequence[None]) for sequence in x])
    torch.testing.assert_close(alone, hash.project(x))
    with pytest.raises(ValueError, match="^bandwidth must be 'calibrated' to freeze σ"):
        hash.freeze([1.0, 1.0], x)
