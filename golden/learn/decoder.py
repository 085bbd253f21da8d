# SPDX-License-Identifier: Apache-2.0
"""Training a decoder on words, and how well it predicts them."""

import math
from collections.abc import Callable

import torch
from torch.nn.functional import cross_entropy

from ecoformer.golden.attention import cores_of
from ecoformer.golden.learn.words import batch_of
from ecoformer.golden.networks.decoder import Decoder
from ecoformer.progress import SILENT, Progress

__all__ = ["perplexity", "train_decoder"]

WARM_UP = 0.05
"""Share of the steps in which the learning rate rises."""
WEIGHT_DECAY = 0.01
BATCH = 1_024
"""Words that are judged at once."""


def train_decoder(
    model: Decoder,
    words: list[str],
    steps: int,
    *,
    learning_rate: float = 5e-3,
    batch: int = 256,
    seed: int = 0,
    progress: Progress = SILENT,
) -> None:
    """Train every weight of ``model`` on the next letters of ``words``: AdamW, cosine schedule.

    Thresholds of linear hashes and offsets of the attention learn, too; the projections of hashes
    stay as they were drawn. Codes are signs, whose gradients pass straight through.
    """
    for core in cores_of(model):
        core.offset.requires_grad_()
        for hashing in core.hashes:
            hashing.threshold.requires_grad_()
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], learning_rate,
        weight_decay=WEIGHT_DECAY,
    )
    warm_up = max(1, round(WARM_UP * steps))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(
        (step + 1) / warm_up, 0.5 + 0.5 * math.cos(math.pi * step / steps)
    ))
    tokens, targets = batch_of(words, model.config.positions)
    generator = torch.Generator().manual_seed(seed)
    model.train()
    for step in range(steps):
        rows = torch.randint(len(words), (batch,), generator=generator)
        loss = _loss(model(tokens[rows]), targets[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        for core in cores_of(model):
            core.limit_offset()
        progress.update("train", step + 1, steps)
    model.eval()


@torch.no_grad()
def perplexity(
    logits: Callable[[torch.Tensor], torch.Tensor], words: list[str], positions: int
) -> float:
    """e to the mean loss of every letter of ``words`` and of their ends.

    Parameters
    ----------
    logits : callable
        From tokens int64 [B, positions] to logits [B, positions, vocabulary].
    """
    total, count = 0.0, 0
    for first in range(0, len(words), BATCH):
        tokens, targets = batch_of(words[first : first + BATCH], positions)
        real = int((targets >= 0).sum())
        total += float(_loss(logits(tokens).double(), targets)) * real
        count += real
    return math.exp(total / count)


def _loss(logits, targets):
    return cross_entropy(logits.flatten(0, 1), targets.flatten())
