# SPDX-License-Identifier: Apache-2.0
"""Training pictures, augmented as they are read."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from ecoformer.golden.pictures.augment import augment
from ecoformer.golden.pictures.config import PictureConfig
from ecoformer.golden.pictures.files import PictureFiles

__all__ = ["TrainingPictures"]

Key = tuple[int, ...]
"""The number of a picture, and what its random numbers follow from."""


class TrainingPictures:
    """Pictures of a tensor or of files, each augmented by its own random numbers.

    Parameters
    ----------
    images : uint8 Tensor [n, channels, side, side] or PictureFiles
    config : PictureConfig
    """

    def __init__(self, images: torch.Tensor | PictureFiles, config: PictureConfig):
        self.images = images
        self.config = config

    @property
    def needs_reading(self) -> bool:
        """Whether a batch is more than an index into a tensor."""
        return self.config.changes_pictures or isinstance(self.images, PictureFiles)

    def sample(self, key: Key) -> np.ndarray:
        """The picture of ``key``; as a source of :mod:`golden.pictures.loader`."""
        number, *seeds = key
        if isinstance(self.images, PictureFiles) and self.config.crop_area == 1:
            picture = _picture(self.images.sample(number))
        elif isinstance(self.images, PictureFiles):
            picture = self.images.picture(number)
        else:
            picture = _picture(self.images[number].numpy())
        rng = np.random.default_rng((*seeds, number))
        return augment(picture, self.images.shape[-1], self.config, rng, self.config.resampling)

    def grey(self) -> np.ndarray:
        """What takes the place of a file that gives no picture."""
        assert isinstance(self.images, PictureFiles)
        return self.images.grey()

    def report(self, reasons: dict[Key, str]) -> None:
        """Take in failures."""
        if reasons:
            assert isinstance(self.images, PictureFiles)
            self.images.report({number: reason for (number, *_), reason in reasons.items()})


def _picture(pixels):
    rows = np.ascontiguousarray(pixels.transpose(1, 2, 0))  # [side, side, channels]
    return Image.fromarray(rows[..., 0] if rows.shape[2] == 1 else rows)
