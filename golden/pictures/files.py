# SPDX-License-Identifier: Apache-2.0
"""Pictures in files, used as if they were one tensor; read when they are needed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ecoformer.errors import EcoformerError
from ecoformer.golden.pictures.config import PictureConfig
from ecoformer.golden.pictures.loader import read_batches
from ecoformer.golden.pictures.picture import centre_crop, read_picture

__all__ = ["Failures", "PictureFiles"]

GREY = 128


class Failures:
    """Files that gave no picture: named once, counted, and refused above a limit.

    Parameters
    ----------
    limit : int
        Most files.
    note : callable
        Called with one line per file.
    """

    def __init__(self, limit: int, note: Callable[[str], object] = lambda line: None):
        self.limit = limit
        self.note = note
        self.reasons: dict[str, str] = {}

    def add(self, path: str, reason: str) -> None:
        """Take in one file; an EcoformerError if it is one too many."""
        if path in self.reasons:
            return
        self.reasons[path] = reason
        if len(self.reasons) > self.limit:
            count = f", number {len(self.reasons)}" if self.limit else ""
            raise EcoformerError(
                f"{path}: unreadable picture{count} ({reason}); replace or remove it, or allow "
                f"more than {self.limit} with [training] unreadable"
            )
        self.note(f"{path}: unreadable picture ({reason}), shown as grey")


class PictureFiles:
    """Pictures of one size in files, with what networks use of a uint8 Tensor [n, C, side, side].

    An index gives pictures as they are evaluated: resized, and the middle cut out.

    Parameters
    ----------
    folder : Path
    names : bytes array [n]
        Paths below it.
    side, channels : int
        Pixels along one side of what is cut out, and their colours: 1 or 3.
    config : PictureConfig
        Its ``crop_ratio`` and ``interpolation``.
    failures : Failures
        Takes in what cannot be read; grey takes its place.
    workers : int
        Processes that read; 0: this one.
    """

    def __init__(
        self, folder: Path, names: np.ndarray, side: int, channels: int, config: PictureConfig,
        failures: Failures, workers: int = 0,
    ):
        self.folder = folder
        self.names = names
        self.side = side
        self.channels = channels
        self.config = config
        self.failures = failures
        self.workers = workers

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """That of the tensor."""
        return len(self.names), self.channels, self.side, self.side

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: slice | torch.Tensor) -> torch.Tensor:
        """Pictures as they are evaluated, uint8 [n, C, side, side]."""
        part = self.part(index)
        return torch.cat(list(part.split(len(part)))) if len(part) else torch.empty(part.shape)

    def split(self, batch: int) -> Iterator[torch.Tensor]:
        """The same, batch by batch."""
        numbers = range(len(self))
        keys = [numbers[first : first + batch] for first in range(0, len(self), batch)]
        for images, reasons in read_batches(self, keys, self.workers):
            self.report(reasons)
            yield images

    def part(self, index: slice | torch.Tensor) -> PictureFiles:
        """Some of the files, unread."""
        chosen = index if isinstance(index, slice) else index.numpy()
        return PictureFiles(
            self.folder, self.names[chosen], self.side, self.channels, self.config, self.failures,
            self.workers,
        )

    def path(self, number: int) -> str:
        """Path of a file."""
        return os.path.join(self.folder, os.fsdecode(bytes(self.names[number])))

    def picture(self, number: int) -> Image.Image:
        """The whole picture; :class:`golden.pictures.picture.Unreadable` if there is none."""
        return read_picture(self.path(number), self.channels)

    def sample(self, number: int) -> np.ndarray:
        """A picture as it is evaluated; errors as above."""
        c = self.config
        return centre_crop(self.picture(number), self.side, c.crop_ratio, c.resampling)

    def grey(self) -> np.ndarray:
        """What takes the place of a picture that cannot be read."""
        return np.full(self.shape[1:], GREY, np.uint8)

    def report(self, reasons: dict[int, str]) -> None:
        """Take in failures by the numbers of their files."""
        for number, reason in reasons.items():
            self.failures.add(self.path(number), reason)

    def __getstate__(self) -> dict:
        """Without what only the main process needs."""
        return {**vars(self), "failures": None}
