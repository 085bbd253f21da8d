# SPDX-License-Identifier: Apache-2.0
"""The batches of a training run: which images, in which order, and augmented how."""

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import pad

from ecoformer.golden.learn.data import Split
from ecoformer.golden.learn.mixing import mix
from ecoformer.golden.learn.recipe import TrainingConfig
from ecoformer.golden.networks.drop_path import draw_paths
from ecoformer.golden.pictures.augment import augment

__all__ = ["Batches", "draw_moves", "shift_images"]

PICTURES, MIXING, PATHS = range(3)
"""Purposes of random numbers; each has its own."""


class Batches:
    """The batches of an epoch. Everything random follows from its number and that of the step.

    Parameters
    ----------
    part : Split
        Training images.
    classes : int
    training : TrainingConfig
    stream : int
        0 or 1. Runs of one stream see the same batches.

    Members
    -------
    parts : list of int64 Tensor
        Which images the batches of the epoch are made of.
    """

    def __init__(self, part: Split, classes: int, training: TrainingConfig, stream: int):
        self.part = part
        self.classes = classes
        self.training = training
        self.stream = stream
        self.parts: list[torch.Tensor] = []

    def __len__(self) -> int:
        """Batches of an epoch; the last one may be smaller."""
        return -(-len(self.part) // self.training.batch)

    def begin(self, epoch: int) -> None:
        """Draw the order of ``epoch``, counted from 0."""
        t = self.training
        self.epoch = epoch
        generator = torch.Generator().manual_seed((t.seed * 2 + self.stream) * 100_003 + epoch)
        self.parts = list(torch.randperm(len(self.part), generator=generator).split(t.batch))
        self.moves = [draw_moves(len(index), t.shift, generator) for index in self.parts]

    def draw(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Images and targets of a step of the epoch, as :func:`golden.learn.mixing.mix` gives."""
        index, t = self.parts[step], self.training
        images = self._read(index)
        images = shift_images(images, t.shift, self.moves[step])
        labels = self.part.labels[index]
        return mix(images, labels, self.classes, t, self._random(MIXING, step))

    def paths(self, model: torch.nn.Module, step: int) -> torch.Tensor | None:
        """What :func:`golden.networks.drop_path.dropping` drops in a step; None without."""
        rate = self.training.drop_path
        if not rate:
            return None
        return draw_paths(model, rate, len(self.parts[step]), self._random(PATHS, step))

    def _read(self, index):
        images = self.part.images[index]
        if not self.training.changes_pictures:
            return images
        return torch.stack([
            self._augmented(image, number) for image, number in zip(images, index.tolist())
        ])

    def _augmented(self, image, number):
        picture = Image.fromarray(image.permute(1, 2, 0).squeeze(2).numpy())
        rng = self._random(PICTURES, number)
        return torch.from_numpy(augment(picture, image.shape[-1], self.training, rng))

    def _random(self, purpose, number):
        key = (self.training.seed, self.stream, self.epoch, purpose, number)
        return np.random.default_rng(key)


def draw_moves(count: int, distance: int, generator: torch.Generator) -> torch.Tensor:
    """Moves of ``count`` images by up to ``distance`` pixels: int64 [2, count, 1]; 0 is farthest.

    Nothing is drawn for a distance of 0.
    """
    if distance == 0:
        return torch.zeros(2, count, 1, dtype=torch.int64)
    return torch.randint(0, 2 * distance + 1, (2, count, 1), generator=generator)


def shift_images(images: torch.Tensor, distance: int, moves: torch.Tensor) -> torch.Tensor:
    """Move every image by up to ``distance`` pixels, zeros coming in from the border.

    ``moves`` are those that :func:`draw_moves` drew.
    """
    if distance == 0:
        return images
    count, channels, height, width = images.shape
    rows = (moves[0] + torch.arange(height))[:, None, :, None]
    columns = (moves[1] + torch.arange(width))[:, None, None, :]
    image = torch.arange(count)[:, None, None, None]
    channel = torch.arange(channels)[:, None, None]
    return pad(images, (distance,) * 4)[image, channel, rows, columns]
