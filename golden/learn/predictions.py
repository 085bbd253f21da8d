# SPDX-License-Identifier: Apache-2.0
"""What a network predicts, of an image or after every token: how many are right, and the loss."""

import math
from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy

__all__ = ["IGNORED", "Measure", "count_of", "flat", "loss_of", "measure"]

IGNORED = -100
"""Label where nothing is to be predicted, as torch has it."""


@dataclass(frozen=True)
class Measure:
    """How well a network predicts.

    Parameters
    ----------
    accuracy : float
        Share of the predictions that are right.
    loss : float
        Mean cross-entropy in nats.
    """

    accuracy: float
    loss: float

    @property
    def perplexity(self) -> float:
        """e to the loss: of so many equally likely labels one would have to be guessed."""
        return math.exp(min(self.loss, 700.0))


def flat(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits [n, classes] and labels [n] of all predictions; those without a label are left out.

    Parameters
    ----------
    logits : Tensor [..., classes]
    labels : int64 Tensor [...]
    """
    there = labels != IGNORED
    return logits[there], labels[there]


def loss_of(
    logits: torch.Tensor, targets: torch.Tensor, label_smoothing: float = 0.0
) -> torch.Tensor:
    """Mean cross-entropy, a scalar.

    Parameters
    ----------
    logits : Tensor [..., classes]
    targets : Tensor
        Labels int64 [...], or probabilities [..., classes].
    label_smoothing : float
    """
    classes = logits.shape[-1]
    shape = (-1, classes) if targets.is_floating_point() else (-1,)
    return cross_entropy(
        logits.reshape(-1, classes), targets.reshape(shape), ignore_index=IGNORED,
        label_smoothing=label_smoothing,
    )


def count_of(targets: torch.Tensor) -> int:
    """Predictions that ``targets``, as above, are there for."""
    return len(targets) if targets.is_floating_point() else int((targets != IGNORED).sum())


def measure(logits: torch.Tensor, labels: torch.Tensor) -> Measure:
    """How well ``logits`` [..., classes] predict ``labels`` [...]."""
    logits, labels = flat(logits, labels)
    return Measure(
        (logits.argmax(1) == labels).double().mean().item(), cross_entropy(logits, labels).item()
    )
