# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from ecoformer.golden.hashing import LinearHash
from ecoformer.golden.learn.networks import draw_hash
from ecoformer.golden.learn.orthogonal import draw_orthogonal, orthogonal_rows


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("bits", [3, 8, 20])
def test_rows_are_orthogonal_in_groups(bits):
    rows = orthogonal_rows(bits, 8, seeded())
    assert rows.shape == (bits, 8)
    for group in rows.split(8):
        torch.testing.assert_close(group @ group.mT, torch.eye(len(group)), rtol=0, atol=1e-5)


def test_a_row_points_anywhere():
    generator = seeded()
    firsts = torch.stack([orthogonal_rows(1, 3, generator)[0] for _ in range(2_000)])
    assert firsts.mean(0).abs().max() < 0.05
    torch.testing.assert_close(firsts.mT @ firsts / 2_000, torch.eye(3) / 3, rtol=0, atol=0.03)


def test_codes_are_those_of_directions_and_seeded():
    x = torch.randn(2, 2, 9, 6, generator=seeded()) + 1
    hashes = [LinearHash(2, 6, 10) for _ in range(3)]
    for hash, seed in zip(hashes, (1, 1, 2)):
        draw_orthogonal(hash, x, seeded(seed))
    one, same, other = hashes
    assert torch.equal(one(x), same(x)) and not torch.equal(one(x), other(x))
    assert not torch.equal(one.projection[0], one.projection[1])
    assert torch.equal(one(x), one(7 * x)) and torch.equal(one(x), -one(-x))
    torch.testing.assert_close(
        one.project(x).square().mean((0, 2)), torch.ones(2, 10), rtol=1e-3, atol=0
    )


def test_orthogonal_codes_vary_less_than_independent_ones():
    x = torch.randn(1, 1, 40, 16, generator=seeded())
    unit = torch.nn.functional.normalize(x, dim=-1)
    limit = 2 / torch.pi * torch.asin((unit @ unit.mT).clamp(-1, 1))
    errors = {draw: 0.0 for draw in (draw_hash, draw_orthogonal)}
    for draw in errors:
        for seed in range(20):
            hash = LinearHash(1, 16, 16, weights="float", normalise=True)
            draw(hash, unit, seeded(seed))
            hash.threshold.zero_()
            codes = hash(unit)
            errors[draw] += (codes @ codes.mT / 16 - limit).square().mean().item()
    assert errors[draw_orthogonal] < 0.8 * errors[draw_hash]
