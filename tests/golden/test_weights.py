# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch

from ecoformer.golden.weights import constrain, quantise_rows, round_weights
from ecoformer.spec.weights import WEIGHT_FORMATS


@pytest.mark.parametrize("weights", list(WEIGHT_FORMATS))
def test_rounded_weights_are_the_nearest_admitted(weights):
    values = torch.linspace(-150, 150, 3001, dtype=torch.float64)
    admitted = torch.tensor(WEIGHT_FORMATS[weights].values, dtype=torch.float64)
    if weights == "int8":
        admitted = admitted[1:]  # -128 has no counterpart; the rounding is symmetric
    error = (round_weights(values, weights) - values).abs()
    nearest = (values[:, None] - admitted).abs().amin(1)
    torch.testing.assert_close(error, nearest)


@pytest.mark.parametrize("weights", list(WEIGHT_FORMATS))
def test_rows_are_admitted_integers_times_a_scale(weights):
    rows = torch.randn(3, 5, 32, generator=torch.Generator().manual_seed(0))
    rows[0, 0] = 0
    integers, scale = quantise_rows(rows, weights)
    assert WEIGHT_FORMATS[weights].holds(integers.numpy().astype(np.int64))
    assert (scale > 0).all() and scale.shape == (3, 5, 1)
    assert (integers[0, 0] == 0).all()
    # Codes depend on the direction of a row alone, which is kept.
    cosine = torch.cosine_similarity(integers * scale, rows, dim=-1)[1:]
    assert cosine.min() > {"int8": 0.9999, "pow2": 0.97, "ternary": 0.8}[weights]
    doubled, twice = quantise_rows(4 * rows, weights)
    assert torch.equal(doubled, integers)
    torch.testing.assert_close(twice[1:], 4 * scale[1:])


def test_ternary_rule_by_hand():
    integers, scale = quantise_rows(torch.tensor([[1.0, -3.0, 0.5, 2.0, -0.1, 0.0]]), "ternary")
    assert integers.tolist() == [[1, -1, 0, 1, 0, 0]]  # mean 1.1, threshold 0.77
    assert scale.item() == 2.0


@pytest.mark.parametrize("weights", list(WEIGHT_FORMATS))
def test_gradient_passes_straight_through(weights):
    rows = torch.randn(2, 6, generator=torch.Generator().manual_seed(0)).requires_grad_()
    held = constrain(rows, weights)
    integers, scale = quantise_rows(rows.detach(), weights)
    torch.testing.assert_close(held, integers * scale)
    (grad,) = torch.autograd.grad((held * torch.arange(6.0)).sum(), rows)
    torch.testing.assert_close(grad, torch.arange(6.0).expand(2, 6))
