# SPDX-License-Identifier: Apache-2.0
"""Whether a network still answers as it did."""

from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from ecoformer.errors import EcoformerError
from ecoformer.golden.convert.batches import run_model
from ecoformer.golden.sites.routing import Interception

__all__ = ["answers", "check_same"]

TOLERANCE = 0.01
"""Most error of an answer, over its length; rounding alone stays far below."""
COARSE = 0.2
"""The same for answers in half precision."""


@torch.no_grad()
def answers(model: nn.Module, batch: Any) -> list[torch.Tensor]:
    """Every Tensor of numbers that ``model`` answers ``batch`` with, without fused kernels.

    What is random comes out alike every time.
    """
    with torch.random.fork_rng(devices=[]), Interception(lambda function: None):
        torch.manual_seed(0)
        output = run_model(model, batch)
    leaves = [x for x in tree_leaves(output) if isinstance(x, torch.Tensor) and not x.is_nested]
    return [x.detach().clone() for x in leaves if x.is_floating_point()]


def check_same(before: list[torch.Tensor], after: list[torch.Tensor], name: str) -> None:
    """Refuse answers that differ by more than rounding; where they were NaN they may be anything.

    Raises
    ------
    EcoformerError
        The attention that was found is not all that there is, or computes something else.
    """
    for expected, found in zip(before, after, strict=True):
        there = ~expected.isnan() & ~expected.isinf()
        wanted, error = expected[there].double(), (found - expected)[there].double()
        tolerance = COARSE if expected.dtype.itemsize < 4 else TOLERANCE
        if not error.norm() <= tolerance * wanted.norm():
            raise EcoformerError(
                f"{name}: with softmax in the places that were found it answers otherwise (error "
                f"{(error.norm() / wanted.norm()).item():.2g} of the length); its attention is of "
                "a form that is not understood"
            )
