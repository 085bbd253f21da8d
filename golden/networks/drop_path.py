# SPDX-License-Identifier: Apache-2.0
"""Stochastic depth: whole branches of a residual network are dropped in training.

Source: Huang et al., arXiv 1603.09382, with the linear decay rule of §3. What is dropped is drawn
for a whole batch before it is computed, so that it does not depend on how the batch is computed: at
once, in parts, or on several machines.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

__all__ = ["DropPath", "draw_paths", "dropping"]

BRANCHES = 2
"""Branches of a block: attention and MLP."""


class DropPath:
    """What a branch goes through before it is added to what it branched from.

    An attribute of a module and no module itself: model files need not know of it.

    Members
    -------
    scale : Tensor [B] or None
        What the branch of every image is multiplied by, 0 where it is dropped; set by
        :func:`dropping`, and None outside of it: then the branch passes.
    """

    def __init__(self) -> None:
        self.scale: torch.Tensor | None = None

    def __call__(self, branch: torch.Tensor) -> torch.Tensor:
        """The branch [B, …], scaled."""
        if self.scale is None:
            return branch
        return branch * self.scale.to(branch).view(-1, *[1] * (branch.ndim - 1))


def draw_paths(
    model: nn.Module, rate: float, images: int, rng: np.random.Generator
) -> torch.Tensor:
    """Scales [branches, images] for :func:`dropping`.

    Of the first block nothing is dropped, of the last one a share ``rate``, between them it grows
    evenly. What is kept is scaled, so that the mean of a branch stays what it is.
    """
    blocks = len(_paths(model)) // BRANCHES
    rates = np.linspace(0, rate, blocks).repeat(BRANCHES)[:, None]
    kept = rng.random((len(rates), images)) >= rates
    return torch.from_numpy(np.where(kept, 1 / (1 - rates), 0)).float()


@contextmanager
def dropping(model: nn.Module, scales: torch.Tensor | None) -> Iterator[None]:
    """Let branches of ``model`` be dropped in the block, as ``scales`` [branches, images] say."""
    paths = _paths(model)
    try:
        for path, scale in zip(paths, [None] * len(paths) if scales is None else scales):
            path.scale = scale
        yield
    finally:
        for path in paths:
            path.scale = None


def _paths(model):
    """Every :class:`DropPath` in ``model``, in the order of use."""
    attributes = (value for module in model.modules() for value in vars(module).values())
    return [value for value in attributes if isinstance(value, DropPath)]
