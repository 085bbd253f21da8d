# SPDX-License-Identifier: Apache-2.0
"""Gradient descent on calibration data that keeps the best step, head by head."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ecoformer.golden.learn.arithmetic import Arithmetic
from ecoformer.golden.learn.checkpoint import Checkpoint
from ecoformer.golden.learn.loop import Loop
from ecoformer.progress import SILENT, Progress

__all__ = ["descend", "mean_loss"]

EVALUATIONS = 20
"""How often the held-out part is evaluated during a descent."""


def descend(
    parameters: list,
    loss: Callable[[Any], torch.Tensor],
    train: Sequence,
    held_out: Sequence,
    *,
    steps: int,
    lr: float,
    generator: torch.Generator,
    after_step: Callable[[], None] | None = None,
    clip: float = 0.0,
    checkpoint: Checkpoint | None = None,
    progress: Progress = SILENT,
    stage: str = "",
) -> list[float]:
    """Minimise a loss by Adam and keep the step at which the held-out part was best.

    Parameters
    ----------
    parameters : list
        Parameters, or groups ``{"params": list of Parameter, "lr": peak}`` as optimizers take
        them; trained in place. They require a gradient during the call only.
    loss : callable
        ``loss(item)`` gives a scalar, or one number per head if every parameter has heads in
        front: then each head keeps its own best step.
    train, held_out : list
        Items.
    steps : int
        Gradient steps, one item each.
    lr : float
        Peak learning rate of groups without one of their own.
    generator : torch.Generator
        Chooses the items.
    after_step : callable or None
        Called after every step.
    clip : float
        Largest norm of a gradient; 0: any.
    checkpoint : Checkpoint or None
        Written at every evaluation; an interrupted descent resumes from it.
    progress : Progress
    stage : str
        Name of the descent there.

    Returns
    -------
    list of float
        Mean held-out losses, before the first step and at every evaluation.
    """
    groups = parameters if isinstance(parameters[0], dict) else [{"params": parameters}]
    parameters = [p for group in groups for p in group["params"]]
    before = [p.requires_grad for p in parameters]
    for p in parameters:
        p.requires_grad_(True)
    try:
        optimizer = torch.optim.Adam(groups, lr, fused=parameters[0].is_cuda or None)
        descent = _Descent(optimizer, steps, loss, train, held_out, generator, after_step, clip)
        history = descent.run(checkpoint, progress, stage)
        descent.best.restore()
    finally:
        for p, required in zip(parameters, before):
            p.requires_grad_(required)
            p.grad = None
    return history


class _Descent(Loop):
    """Steps on one item each, in an order drawn again whenever every item has had its turn."""

    def __init__(self, optimizer, steps, loss, train, held_out, generator, after_step, clip):
        arithmetic = Arithmetic(clip=clip)
        super().__init__(
            optimizer, steps, every=max(1, steps // EVALUATIONS), arithmetic=arithmetic
        )
        self.item_loss = loss
        self.train = train
        self.held_out = held_out
        self.generator = generator
        self.after = after_step
        self.parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self.best = _Best(self.parameters)
        self.order = []

    def begin(self):
        return [self.evaluate(0, [])]

    def loss(self, step):
        if not self.order:
            self.order = torch.randperm(len(self.train), generator=self.generator).tolist()
        return self.item_loss(self.train[self.order.pop()]).sum()

    def after_step(self, step):
        if self.after is not None:
            self.after()

    def evaluate(self, step, losses):
        return self.best.update(mean_loss(self.item_loss, self.held_out))

    def describe(self, step, entry):
        return f"step {step}/{self.steps}, held-out error {entry:.4f}"

    def state(self, finished):
        state = {
            "order": self.order, "generator": self.generator.get_state(),
            "lowest": self.best.lowest, "kept": self.best.kept,
        }
        # A descent resumes from its latest parameters; a finished one needs only its best.
        return state if finished else state | {"parameters": [p.detach() for p in self.parameters]}

    def restore(self, state):
        self.order = state["order"]
        self.generator.set_state(state["generator"])
        self.best.lowest = state["lowest"].to(self.parameters[0].device)
        _copy(state["kept"], self.best.kept)
        if "parameters" in state:
            _copy(state["parameters"], self.parameters)


class _Best:
    """The values of parameters when each head's held-out loss was lowest."""

    def __init__(self, parameters):
        self.parameters = parameters
        self.kept = [p.detach().clone() for p in parameters]
        self.lowest = None

    def update(self, losses):
        """Keep what is better now; returns the mean loss."""
        if self.lowest is None:
            self.lowest = losses
            return losses.mean().item()
        better = losses < self.lowest
        self.lowest = torch.where(better, losses, self.lowest)
        for kept, p in zip(self.kept, self.parameters):
            by_head = better.view(-1, *[1] * (p.ndim - 1)) if losses.ndim else better
            kept.copy_(torch.where(by_head, p.detach(), kept))
        return losses.mean().item()

    def restore(self):
        _copy(self.kept, self.parameters)


@torch.no_grad()
def _copy(values, tensors):
    for value, tensor in zip(values, tensors, strict=True):
        tensor.copy_(value)


@torch.no_grad()
def mean_loss(loss: Callable[[Any], torch.Tensor], items: Sequence) -> torch.Tensor:
    """Mean of ``loss(item)`` over ``items``: a scalar, or one number per head."""
    mean = torch.stack([loss(item) for item in items]).mean(0)
    torch.clear_autocast_cache()  # weights cached without a gradient would stay in use
    return mean
