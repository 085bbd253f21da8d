# SPDX-License-Identifier: Apache-2.0
"""Mixup and CutMix: pictures of a batch and their labels, mixed in pairs.

Sources: Zhang et al., arXiv 1710.09412; Yun et al., arXiv 1905.04899.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch.nn.functional import one_hot

from ecoformer.golden.pictures.config import PictureConfig

__all__ = ["cut_mix", "draw_partners", "mix", "mix_up"]


def mix(
    images: torch.Tensor,
    labels: torch.Tensor,
    classes: int,
    config: PictureConfig,
    rng: np.random.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """A batch, mixed as ``config`` says; unchanged if it says nothing.

    Every picture meets another one of the batch, and all pairs have the same share.

    Parameters
    ----------
    images : uint8 Tensor [B, channels, height, width]
    labels : int64 Tensor [B]
    classes : int
    config : PictureConfig
        Its ``mixup`` and ``cutmix``.
    rng : Generator

    Returns
    -------
    images : Tensor [B, channels, height, width]
        float32 if they are blended.
    targets : float32 Tensor [B, classes]
        Probabilities of the classes; int64 [B], as given, if nothing is mixed.
    """
    partners = draw_partners(len(images), config, rng)
    if partners is None:
        return images, labels
    ways: list[tuple[Callable, float]] = [
        (way, alpha) for way, alpha in ((mix_up, config.mixup), (cut_mix, config.cutmix)) if alpha
    ]
    way, alpha = ways[rng.integers(len(ways))]
    images, share = way(images, partners, float(rng.beta(alpha, alpha)), rng)
    targets = one_hot(labels, classes).float()
    return images, share * targets + (1 - share) * targets[partners]


def draw_partners(
    count: int, config: PictureConfig, rng: np.random.Generator
) -> torch.Tensor | None:
    """Which picture each of ``count`` is mixed with, int64 [count]; the first draw of a batch.

    None if nothing is mixed; then nothing is drawn.
    """
    if not (config.mixup or config.cutmix):
        return None
    return torch.from_numpy(rng.permutation(count))


def mix_up(
    images: torch.Tensor, partners: torch.Tensor, share: float, rng: np.random.Generator
) -> tuple[torch.Tensor, float]:
    """``images`` blended with their ``partners`` (int64 [B]), and the share of the first."""
    return share * images.float() + (1 - share) * images[partners].float(), share


def cut_mix(
    images: torch.Tensor, partners: torch.Tensor, share: float, rng: np.random.Generator
) -> tuple[torch.Tensor, float]:
    """``images`` with a rectangle of their ``partners``, and the share that is left of the first.

    The rectangle has a share ``1 - share`` of the area and the picture's shape, around a random
    centre; what lies outside of the picture is cut off.
    """
    height, width = images.shape[-2:]
    side = (1 - share) ** 0.5
    edges = []
    for length in (height, width):
        centre, half = rng.integers(length), round(side * length) // 2
        edges.append(slice(max(0, centre - half), min(length, centre + half)))
    rows, columns = edges
    mixed = images.clone()
    mixed[..., rows, columns] = images[partners][..., rows, columns]
    area = (rows.stop - rows.start) * (columns.stop - columns.start)
    return mixed, 1 - float(area) / (height * width)
