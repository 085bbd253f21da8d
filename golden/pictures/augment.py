# SPDX-License-Identifier: Apache-2.0
"""One training picture, augmented: cropped, mirrored, RandAugment, erased."""

from __future__ import annotations

from math import exp, log, sqrt

import numpy as np
from PIL import Image

from ecoformer.golden.pictures.config import PictureConfig
from ecoformer.golden.pictures.randaugment import rand_augment

__all__ = ["augment", "erase", "random_box"]

ASPECTS = (3 / 4, 4 / 3)
"""Width over height of a random crop."""
ERASED_AREAS, ERASED_ASPECTS = (0.02, 1 / 3), (0.3, 1 / 0.3)
"""Share of the area, and width over height, of what is erased."""
TRIES = 10
"""Rectangles that are drawn until one fits."""


def augment(
    image: Image.Image, side: int, config: PictureConfig, rng: np.random.Generator,
    resampling: Image.Resampling = Image.Resampling.BICUBIC,
) -> np.ndarray:
    """A training picture from ``image``.

    Parameters
    ----------
    image : Image
        Mode L or RGB; of ``side`` × ``side`` pixels if ``config`` crops nothing.
    side : int
        Pixels along one side of the result.
    config : PictureConfig
    rng : Generator
        Decides everything that is random.
    resampling : Resampling
        How a crop is resized.

    Returns
    -------
    uint8 array [channels, side, side]
    """
    if config.crop_area < 1:
        box = random_box(*image.size, (config.crop_area, 1.0), ASPECTS, rng)
        image = image.resize((side, side), resampling, box or _centre_square(*image.size))
    if rng.random() < config.flip:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    image = rand_augment(
        image, rng, config.randaugment, config.randaugment_magnitude,
        config.randaugment_deviation, config.randaugment_probability,
    )
    pixels = np.array(image).reshape(side, side, -1).transpose(2, 0, 1)
    if rng.random() < config.erasing:
        erase(pixels, rng)
    return np.ascontiguousarray(pixels)


def random_box(
    width: int, height: int, areas: tuple[float, float], aspects: tuple[float, float],
    rng: np.random.Generator,
) -> tuple[int, int, int, int] | None:
    """Left, upper, right and lower edge of a random rectangle; None if none of ten fits.

    Parameters
    ----------
    width, height : int
        Of the picture.
    areas : tuple of 2 float
        Least and largest share of its area, uniformly drawn.
    aspects : tuple of 2 float
        Least and largest width over height; its logarithm is uniformly drawn.
    rng : Generator
    """
    for _ in range(TRIES):
        area = rng.uniform(*areas) * width * height
        aspect = exp(rng.uniform(log(aspects[0]), log(aspects[1])))
        w, h = round(sqrt(area * aspect)), round(sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            left, top = rng.integers(width - w + 1), rng.integers(height - h + 1)
            return int(left), int(top), int(left) + w, int(top) + h
    return None


def erase(pixels: np.ndarray, rng: np.random.Generator) -> None:
    """Replace a random rectangle of ``pixels`` [channels, height, width] by noise, in place.

    Source: random erasing with random values, arXiv 1708.04896, algorithm 1.
    """
    channels, height, width = pixels.shape
    box = random_box(width, height, ERASED_AREAS, ERASED_ASPECTS, rng)
    if box is not None:
        left, top, right, bottom = box
        shape = (channels, bottom - top, right - left)
        pixels[:, top:bottom, left:right] = rng.integers(256, size=shape, dtype=np.uint8)


def _centre_square(width, height):
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side
