# SPDX-License-Identifier: Apache-2.0
"""The exponential moving average of a network's weights while it learns."""

from copy import deepcopy

import torch
from torch import nn

__all__ = ["Average"]


class Average:
    """A copy of a network with averaged weights.

    What the task loss does not train, such as learned hashes, is copied: a mean of two hashes is
    none. Until some ten times as many steps as the network remembers are made, the decay is
    smaller, (1 + steps) / (10 + steps), so that the random start is soon forgotten.

    Parameters
    ----------
    model : Module
    decay : float
        Share of the average that is left after a step.

    Members
    -------
    model : Module
        The averaged network, in evaluation mode.
    """

    def __init__(self, model: nn.Module, decay: float):
        self.decay = decay
        self.model = deepcopy(model).eval()

    @torch.no_grad()
    def update(self, model: nn.Module, steps: int) -> None:
        """Take in ``model`` after ``steps`` steps."""
        decay = min(self.decay, (1 + steps) / (10 + steps))
        for own, other in zip(self.model.parameters(), model.parameters(), strict=True):
            if other.requires_grad:
                own.lerp_(other, 1 - decay)
            else:
                own.copy_(other)
        for own, other in zip(self.model.buffers(), model.buffers(), strict=True):
            own.copy_(other)
