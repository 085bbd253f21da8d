# SPDX-License-Identifier: Apache-2.0
"""The batches of a training run: which images, in which order, and augmented how."""

from collections.abc import Iterator

import numpy as np
import torch
from torch.nn.functional import pad

from ecoformer.golden.learn.data import Split
from ecoformer.golden.learn.group import ALONE, Group
from ecoformer.golden.learn.mixing import draw_partners, mix
from ecoformer.golden.learn.predictions import count_of
from ecoformer.golden.learn.recipe import TrainingConfig
from ecoformer.golden.networks.drop_path import draw_paths
from ecoformer.golden.pictures.loader import read_batches
from ecoformer.golden.pictures.training import TrainingPictures

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
    workers : int
        Processes that read and augment pictures; 0: this one.
    group : Group
        Of each batch, this process gets its share.

    Members
    -------
    parts : list of int64 Tensor
        Which images, or contexts of text, the batches of the epoch are made of.
    counts : list of int
        Predictions in each of them.
    """

    def __init__(
        self, part: Split, classes: int, training: TrainingConfig, stream: int, workers: int = 0,
        group: Group = ALONE,
    ):
        self.part = part
        self.classes = classes
        self.training = training
        self.stream = stream
        self.workers = workers
        self.group = group
        self.pictures = TrainingPictures(part.images, training)
        self.reading: Iterator | None = None
        self.next = 0
        self.parts: list[torch.Tensor] = []
        self.counts: list[int] = []
        # Contexts of text stay as they are.
        self.shift = training.shift if len(part.images.shape) == 4 else 0

    def __len__(self) -> int:
        """Batches of an epoch; the last one may be smaller."""
        return -(-len(self.part) // self.training.batch)

    def begin(self, epoch: int) -> None:
        """Draw the order of ``epoch``, counted from 0."""
        t = self.training
        self.epoch = epoch
        self.reading = None
        generator = torch.Generator().manual_seed((t.seed * 2 + self.stream) * 100_003 + epoch)
        self.parts = list(torch.randperm(len(self.part), generator=generator).split(t.batch))
        self.moves = [draw_moves(len(index), self.shift, generator) for index in self.parts]
        self.counts = [count_of(self.part.labels[index]) for index in self.parts]

    def share(self, step: int) -> slice:
        """Which images of a step are this process's."""
        return self.group.share(len(self.parts[step]))

    def draw(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Images and targets of a step of the epoch, as :func:`golden.learn.mixing.mix` gives.

        Of the batch this process has its share; images of others are read if they are mixed in.
        """
        index, t, needed = self.parts[step], self.training, self._needed(step)
        images = self._read(step) if self.pictures.needs_reading else self.part.images[
            index[needed]]
        images = shift_images(images, self.shift, self.moves[step][:, needed])
        if len(images) < len(index):
            own, images = images, images.new_zeros(len(index), *images.shape[1:])
            images[needed] = own
        labels = self.part.labels[index]
        images, targets = mix(images, labels, self.classes, t, self._random(MIXING, step))
        return images[self.share(step)], targets[self.share(step)]

    def paths(self, model: torch.nn.Module, step: int) -> torch.Tensor | None:
        """What :func:`golden.networks.drop_path.dropping` drops in a step; None without."""
        rate = self.training.drop_path
        if not rate:
            return None
        whole = draw_paths(model, rate, len(self.parts[step]), self._random(PATHS, step))
        return whole[:, self.share(step)]

    def _needed(self, step):
        """Places, in the batch of a step, of the images that this process computes or mixes in."""
        places = torch.arange(len(self.parts[step]))
        own = places[self.share(step)]
        partners = draw_partners(len(places), self.training, self._random(MIXING, step))
        return own if partners is None else torch.cat([own, partners[own]]).unique()

    def _read(self, step):
        """Pictures of a step; those of the steps behind it are read ahead."""
        if self.reading is None or step != self.next:
            seeds = (self.training.seed, self.stream, self.epoch, PICTURES)
            keys = [
                [(number, *seeds) for number in self.parts[ahead][self._needed(ahead)].tolist()]
                for ahead in range(step, len(self.parts))
            ]
            self.reading = read_batches(self.pictures, keys, self.workers)
        self.next = step + 1
        images, reasons = next(self.reading)
        self.pictures.report(reasons)
        return images

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
