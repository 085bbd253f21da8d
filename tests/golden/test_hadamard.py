# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.hashing import HadamardHash, LinearHash
from ecoformer.golden.learn.networks import draw_hash
from ecoformer.golden.learn.orthogonal import draw_orthogonal
from ecoformer.golden.learn.recipe import TrainingConfig


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("head_dim, bits", [(1, 1), (5, 3), (8, 20), (16, 16)])
def test_rows_are_orthogonal_in_groups(head_dim, bits):
    size = 1 << (head_dim - 1).bit_length()
    hash = HadamardHash(2, head_dim, bits)
    assert hash.rows.shape == (2, bits, head_dim) and hash.rows.abs().eq(1).all()
    assert hash.signs.shape == (2, -(-bits // size), head_dim)
    if size == head_dim:
        for group in hash.rows[0].split(size):
            torch.testing.assert_close(group @ group.mT, head_dim * torch.eye(len(group)))
    # The first row of a rotation is its signs, and others differ from it as Sylvester's do.
    torch.testing.assert_close(hash.rows[:, ::size], hash.signs)


@pytest.mark.parametrize("draw", [draw_hash, draw_orthogonal])
def test_codes_are_drawn_and_seeded(draw):
    x = torch.randn(2, 2, 9, 6, generator=seeded()) + 1
    hashes = [HadamardHash(2, 6, 10) for _ in range(3)]
    for hash, seed in zip(hashes, (1, 1, 2)):
        draw(hash, x, seeded(seed))
    one, same, other = hashes
    assert torch.equal(one(x), same(x)) and not torch.equal(one(x), other(x))
    assert not torch.equal(one.signs[0], one.signs[1])
    square = one.project(x).square().mean((0, 2))
    torch.testing.assert_close(square, torch.ones(2, 10), rtol=1e-3, atol=0)


def test_codes_vary_as_little_as_those_of_orthogonal_rows():
    x = torch.nn.functional.normalize(torch.randn(1, 1, 40, 16, generator=seeded()), dim=-1)
    limit = 2 / torch.pi * torch.asin((x @ x.mT).clamp(-1, 1))
    errors = {LinearHash: 0.0, HadamardHash: 0.0}
    for family in errors:
        for seed in range(20):
            hash = family(1, 16, 16, weights="float")
            draw_orthogonal(hash, x, seeded(seed))
            codes = hash(x)
            errors[family] += (codes @ codes.mT / 16 - limit).square().mean().item()
    assert errors[HadamardHash] == pytest.approx(errors[LinearHash], rel=0.1)


def test_signs_are_kept_with_the_parameters():
    one, other = HadamardHash(2, 6, 20), HadamardHash(2, 6, 20)
    x = torch.randn(1, 2, 9, 6)
    assert not torch.equal(one(x), other(x))
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(x), other(x))
    other.draw(seeded())
    other.copy_rows(one)
    assert torch.equal(one(x), other(x))


@pytest.mark.parametrize("learner", ["ksh", "released"])
def test_learners_of_rows_are_refused(learner):
    attention = AttentionConfig(hash="hadamard")
    with pytest.raises(ValueError, match="^hash_learner must .*'hadamard'"):
        TrainingConfig(hash_learner=learner).check_attention(attention, 49)
    TrainingConfig(hash_learner="orthogonal").check_attention(attention, 49)
