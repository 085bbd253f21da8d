# SPDX-License-Identifier: Apache-2.0
"""How well a network classifies, and how fast."""

import time
from dataclasses import dataclass

import torch
from torch import nn

from ecoformer.golden.learn.data import Split
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
    top1, top5 : float
        Share of the images whose label is the most likely one, and is among the five most likely.
    seconds, reading : float
        Time of the network, and time in which it waited for images.
    """

    images: int
    top1: float
    top5: float
    seconds: float
    reading: float

    @property
    def images_per_second(self) -> float:
        """Of the network alone."""
        return self.images / max(self.seconds, 1e-9)


@torch.inference_mode()
def judge(
    model: nn.Module, part: Split, progress: Progress = SILENT, stage: str = "", batch: int = 100
) -> Score:
    """The score of ``model``, which is in evaluation mode, on all images of ``part``."""
    right, done, seconds = torch.zeros(2, dtype=torch.int64), 0, 0.0
    started = time.perf_counter()
    progress.update(stage, 0, len(part))
    for images in part.images.split(batch):
        clock = time.perf_counter()
        logits = model(images)
        seconds += time.perf_counter() - clock
        labels = part.labels[done : done + len(images), None]
        best = logits.topk(min(BEST, logits.shape[1])).indices == labels
        right += torch.stack([best[:, 0].sum(), best.any(1).sum()])
        done += len(images)
        progress.update(stage, done, len(part))
    top1, top5 = (right.double() / max(1, done)).tolist()
    return Score(done, top1, top5, seconds, time.perf_counter() - started - seconds)


def spread(part: Split, count: int) -> Split:
    """``count`` images of ``part``, evenly spread: data sets are often sorted by class."""
    if not 0 < count < len(part):
        return part
    return part.take((torch.arange(count) * len(part)) // count)
