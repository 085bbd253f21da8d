# SPDX-License-Identifier: Apache-2.0
"""How well a network classifies, or predicts the next character, and how fast."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy

from ecoformer.golden.learn.data import Split
from ecoformer.golden.learn.predictions import Measure, flat
from ecoformer.progress import SILENT, Progress

__all__ = ["Score", "judge", "spread"]

BEST = 5
"""Labels of which one must be right for top-5."""


@dataclass(frozen=True)
class Score:
    """What a network got right.

    Parameters
    ----------
    images : int
        Or contexts of text.
    top1, top5 : float
        Share of the predictions whose label is the most likely one, and is among the five most
        likely: one for every image, and for every character of a text.
    seconds, reading : float
        Time of the network, and time in which it waited for images.
    perplexity : float
        Of what the logits say to be likely; nothing where they are no logits.
    """

    images: int
    top1: float
    top5: float
    seconds: float
    reading: float
    perplexity: float

    @property
    def images_per_second(self) -> float:
        """Of the network alone."""
        return self.images / max(self.seconds, 1e-9)


@torch.inference_mode()
def judge(
    model: Callable[[torch.Tensor], torch.Tensor],
    part: Split,
    progress: Progress = SILENT,
    stage: str = "",
    batch: int = 100,
) -> Score:
    """The score of ``model``, which is in evaluation mode, on all images of ``part``."""
    right, done, seconds = torch.zeros(2, dtype=torch.int64), 0, 0.0
    count, loss = 0, 0.0
    started = time.perf_counter()
    progress.update(stage, 0, len(part))
    for images in part.images.split(batch):
        clock = time.perf_counter()
        logits = model(images)
        seconds += time.perf_counter() - clock
        logits, labels = flat(logits, part.labels[done : done + len(images)])
        best = logits.topk(min(BEST, logits.shape[1])).indices == labels[:, None]
        right += torch.stack([best[:, 0].sum(), best.any(1).sum()])
        count += len(labels)
        loss += cross_entropy(logits.double(), labels, reduction="sum").item()
        done += len(images)
        progress.update(stage, done, len(part))
    top1, top5 = (right.double() / max(1, count)).tolist()
    waited = time.perf_counter() - started - seconds
    judged = Measure(top1, loss / max(1, count))
    return Score(done, top1, top5, seconds, waited, judged.perplexity)


def spread(part: Split, count: int) -> Split:
    """``count`` images of ``part``, evenly spread: data sets are often sorted by class."""
    if not 0 < count < len(part):
        return part
    return part.take((torch.arange(count) * len(part)) // count)
