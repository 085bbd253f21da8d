# SPDX-License-Identifier: Apache-2.0
"""How far what a network answers is from what it should answer."""

import torch
from torch.nn.functional import kl_div

__all__ = ["DISAGREEMENTS"]


def relative_square(found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Squared error over the square of what is wanted."""
    return (found - wanted).square().sum() / wanted.square().sum()


def divergence(found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Kullback-Leibler divergence of the distributions whose logits [..., classes] are given.

    The mean over all of them, in nats (Hinton et al., 2015, at temperature 1). Where both are 0, as
    those of padding, they agree.
    """
    guess, target = (x.flatten(0, -2).log_softmax(-1) for x in (found, wanted))
    return kl_div(guess, target, log_target=True, reduction="batchmean")


DISAGREEMENTS = {"square": relative_square, "divergence": divergence}
"""By name: of outputs that are numbers, and of logits."""
