# SPDX-License-Identifier: Apache-2.0
"""The training loop: gradient steps on a schedule, evaluated and checkpointed at intervals."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from ecoformer.errors import EcoformerError
from ecoformer.golden.learn.arithmetic import Arithmetic
from ecoformer.golden.learn.checkpoint import Checkpoint
from ecoformer.progress import SILENT, Progress

__all__ = ["FASTEST", "MOST", "Loop", "learning_rate"]

MOST, FASTEST = 1_000_000, 100.0
"""Bounds of every number of steps, epochs or samples, and of every learning rate."""


class Loop:
    """What a training run is made of; a subclass says what is minimised.

    The learning rate of every group of the optimizer starts at its peak, after a linear warm-up,
    and falls along half a cosine.

    Parameters
    ----------
    optimizer : Optimizer
        Its learning rates are the peaks.
    steps : int
    every : int
        Steps between two evaluations; the last step is evaluated in any case.
    epoch : int
        Steps of one epoch, the unit of ``warmup``.
    warmup : float
        Epochs of warm-up.
    ends : tuple of 2 float
        Learning rates before the warm-up and at the end of the cosine.
    arithmetic : Arithmetic or None
        How a step is computed; in float32 when None.
    save_every : int
        Steps between two checkpoints that are not at an evaluation; 0: none.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        steps: int,
        every: int,
        epoch: int = 1,
        warmup: float = 0.0,
        ends: tuple[float, float] = (0.0, 0.0),
        arithmetic: Arithmetic | None = None,
        save_every: int = 0,
    ):
        self.optimizer = optimizer
        self.steps = steps
        self.every = every
        self.epoch = epoch
        self.warmup = warmup
        self.ends = ends
        self.arithmetic = arithmetic or Arithmetic()
        self.save_every = save_every

    def loss(self, step: int) -> torch.Tensor:
        """The scalar to be minimised in step ``step``, counted from 0."""
        raise NotImplementedError

    def losses(self, step: int) -> Iterator[torch.Tensor]:
        """Parts of that scalar; each is differentiated before the next is computed."""
        yield self.loss(step)

    def whole(self, value: float) -> float:
        """The loss of a step from its part here; there may be other processes."""
        return value

    def after_step(self, step: int) -> None:
        """Called after every step of the optimizer."""

    def begin(self) -> list:
        """The history before the first step."""
        return []

    def evaluate(self, step: int, losses: Sequence[float]) -> Any:
        """An entry of the history after ``step`` steps; ``losses`` are those since the last."""
        raise NotImplementedError

    def note(self, history: Sequence) -> None:
        """Called with the history whenever it has grown."""

    def describe(self, step: int, entry: Any) -> str:
        """One line on ``entry``."""
        raise NotImplementedError

    def state(self, finished: bool) -> dict[str, Any]:
        """Everything but optimizer and history that a run resumes from."""
        raise NotImplementedError

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`state` gave."""
        raise NotImplementedError

    def run(
        self, checkpoint: Checkpoint | None = None, progress: Progress = SILENT, stage: str = ""
    ) -> list:
        """Make all steps, or those that the checkpoint does not hold; returns the history.

        A resumed run ends with the same bits. The checkpoint is written after every evaluation, and
        every ``save_every`` steps.

        Raises
        ------
        FloatingPointError
            The loss is not finite.
        EcoformerError
            The checkpoint is damaged, of other settings, or of another version.
        """
        peaks = [group["lr"] for group in self.optimizer.param_groups]
        saved = None if checkpoint is None else checkpoint.load()
        first, history = (0, self.begin()) if saved is None else self._resume(checkpoint, saved)
        progress.update(stage, first, self.steps)
        losses = [] if saved is None else [*saved["losses"]]
        for step in range(first, self.steps):
            self._schedule(step, peaks)
            losses.append(self._step(step))
            done = step + 1
            if done % self.every == 0 or done == self.steps:
                history.append(self.evaluate(done, losses))
                losses = []
                self.note(history)
                if checkpoint is not None:
                    self._save(checkpoint, done, history, losses)
                progress.line(f"{stage}: {self.describe(done, history[-1])}")
            elif checkpoint is not None and self.save_every and done % self.save_every == 0:
                self._save(checkpoint, done, history, losses)
            progress.update(stage, done, self.steps)
        return history

    def _schedule(self, step, peaks):
        epoch, step = divmod(step, self.epoch)
        time, end = epoch + step / self.epoch, self.steps / self.epoch
        for group, peak in zip(self.optimizer.param_groups, peaks):
            group["lr"] = learning_rate(time, end, self.warmup, 1 / self.epoch, peak, *self.ends)

    def _step(self, step):
        self.optimizer.zero_grad()
        value = 0.0
        for loss in self.losses(step):
            value += loss.item()
            if not math.isfinite(value):
                raise FloatingPointError(
                    f"the loss is {value} in step {step + 1}; lower the learning rate"
                )
            self.arithmetic.backward(loss)
        value = self.whole(value)
        self.arithmetic.step(self.optimizer)
        torch.clear_autocast_cache()  # or the weights from before the step stay in use
        self.after_step(step)
        return value

    def _save(self, checkpoint, done, history, losses):
        state = self.state(finished := done == self.steps)
        if not finished:
            state["optimizer"] = self.optimizer.state_dict()
            state["arithmetic"] = self.arithmetic.state()
        checkpoint.save(step=done, history=history, losses=losses, **state)

    def _resume(self, checkpoint, saved):
        try:
            self.restore(saved)
            if saved["step"] < self.steps:
                self.optimizer.load_state_dict(saved["optimizer"])
                self.arithmetic.restore(saved["arithmetic"])
            return saved["step"], saved["history"]
        except (RuntimeError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise EcoformerError(
                f"{checkpoint.path}: checkpoint of another version's network; train again with "
                "--restart"
            ) from error


def learning_rate(
    time: float,
    end: float,
    warmup: float,
    step: float,
    peak: float,
    start: float = 0.0,
    final: float = 0.0,
) -> float:
    """Learning rate of the step that begins at ``time``, all times in epochs.

    It grows linearly from ``start``, by equal steps of length ``step``, to ``peak`` at the end of
    ``warmup``, and falls along half a cosine to ``final`` at ``end``.
    """
    if time < warmup:
        return start + (peak - start) * min(1.0, (time + step) / warmup)
    cosine = math.cos(math.pi * (time - warmup) / max(step, end - warmup))
    return final + (peak - final) * 0.5 * (1 + cosine)
