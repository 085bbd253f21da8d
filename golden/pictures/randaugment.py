# SPDX-License-Identifier: Apache-2.0
"""RandAugment: a few random operations of one magnitude on a picture.

Source: Cubuk et al., arXiv 1909.13719: N of 14 operations, drawn with replacement. Ranges are those
of AutoAugment, arXiv 1805.09501, table 6, but every operation that has a magnitude changes nothing
at 0 and most at 10, as in later implementations. The arithmetic of every operation is Pillow's.

The choice is made here, picture by picture: kornia, whose operations these could be, draws without
replacement, once for a whole batch, and from the global generator.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

__all__ = ["OPERATIONS", "rand_augment"]

HIGHEST = 10
GREY = 128
"""What comes in where a picture is moved away."""

Operation = Callable[[Image.Image, float], Image.Image]
"""Changes a picture by a share -1…1 of the largest change."""


def _affine(matrix, image, share):
    """Shear or move: ``matrix`` gives the six coefficients of the source of a pixel."""
    coefficients = matrix(share, *image.size)
    return image.transform(
        image.size, Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR,
        fillcolor=_fill(image),
    )


def _rotate(image, share):
    return image.rotate(30 * share, Image.Resampling.BILINEAR, fillcolor=_fill(image))


def _enhance(enhancer, image, share):
    return enhancer(image).enhance(1 + 0.9 * share)


def _posterize(image, share):
    return ImageOps.posterize(image, 8 - round(4 * abs(share)))


def _solarize(image, share):
    return ImageOps.solarize(image, 256 - round(256 * abs(share)))


def _fill(image):
    return (GREY,) * len(image.getbands()) if len(image.getbands()) > 1 else GREY


OPERATIONS: dict[str, Operation] = {
    "identity": lambda image, share: image,
    "auto-contrast": lambda image, share: ImageOps.autocontrast(image),
    "equalize": lambda image, share: ImageOps.equalize(image),
    "rotate": _rotate,
    "solarize": _solarize,
    "color": partial(_enhance, ImageEnhance.Color),
    "posterize": _posterize,
    "contrast": partial(_enhance, ImageEnhance.Contrast),
    "brightness": partial(_enhance, ImageEnhance.Brightness),
    "sharpness": partial(_enhance, ImageEnhance.Sharpness),
    "shear-x": partial(_affine, lambda s, w, h: (1, 0.3 * s, 0, 0, 1, 0)),
    "shear-y": partial(_affine, lambda s, w, h: (1, 0, 0, 0.3 * s, 1, 0)),
    "translate-x": partial(_affine, lambda s, w, h: (1, 0, 0.45 * s * w, 0, 1, 0)),
    "translate-y": partial(_affine, lambda s, w, h: (1, 0, 0, 0, 1, 0.45 * s * h)),
}
"""The operations of the paper, by name."""


def rand_augment(
    image: Image.Image,
    rng: np.random.Generator,
    count: int = 2,
    magnitude: float = 9.0,
    deviation: float = 0.0,
    probability: float = 1.0,
) -> Image.Image:
    """``count`` random operations on ``image``, one after the other.

    Parameters
    ----------
    image : Image
        Mode L or RGB.
    rng : Generator
    count : int
        The paper's N.
    magnitude : float
        The paper's M, 0…10. Whether a change goes up or down, left or right, is drawn.
    deviation : float
        Standard deviation of the magnitude of an operation.
    probability : float
        Of an operation that was drawn to be applied.
    """
    operations = list(OPERATIONS.values())
    for choice in rng.integers(len(operations), size=count):
        level = np.clip(rng.normal(magnitude, deviation), 0, HIGHEST) / HIGHEST
        share = float(level * rng.choice((-1, 1)))
        if rng.random() < probability:
            image = operations[choice](image, share)
    return image
