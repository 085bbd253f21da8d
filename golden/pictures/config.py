# SPDX-License-Identifier: Apache-2.0
"""How pictures are cut out and training pictures augmented, as a part of the table [training]."""

from dataclasses import dataclass

from PIL import Image

from ecoformer.spec.checks import check_choice, check_number

__all__ = ["INTERPOLATIONS", "PictureConfig"]

MOST_OPERATIONS, HIGHEST = 15, 10
"""Operations of RandAugment on one picture; its largest magnitude."""
SHARPEST = 100.0
"""Largest parameter of a Beta distribution."""
MOST_FAILURES = 1_000_000
INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST, "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS,
}
"""How pictures are resized, by name."""


@dataclass(frozen=True, kw_only=True)
class PictureConfig:
    """How pictures of files are cut out, and training pictures augmented; the latter is off.

    Parameters
    ----------
    crop_ratio : float
        Pictures of files are evaluated on the middle of what is left when their shorter side is
        resized to ``image_size / crop_ratio``: of 256 pixels for 224, as published. 1: the largest
        square.
    interpolation : str
        How they are resized: ``nearest``, ``bilinear``, ``bicubic`` or ``lanczos``.
    unreadable : int
        Files that may be unreadable; each is named, and grey is shown in its place.
    crop_area : float
        Least share of a picture's area in a random crop, which is then resized to the network's
        size; published 0.08. 1: no random crop.
    flip : float
        Probability that a picture is mirrored, left to right; published 0.5.
    randaugment : int
        Operations of RandAugment on every picture; published 2. 0: none.
    randaugment_magnitude : float
        Their magnitude, from 0 to 10; published 9.
    randaugment_deviation : float
        Standard deviation of the magnitude, drawn for every operation; 0 in the paper, 0.5 in
        recipes of vision transformers.
    randaugment_probability : float
        Probability that an operation is applied; 1 in the paper, 0.5 in those recipes.
    erasing : float
        Probability that a rectangle of a picture is replaced by noise; published 0.25.
    mixup, cutmix : float
        Parameter α of Beta(α, α), from which the share of the first of two mixed pictures is drawn;
        published 0.8 and 1. 0: not mixed. With both, each batch has one of them, with equal
        probability.

    Raises
    ------
    TypeError, ValueError
        A value of the wrong type or outside its range.
    """

    crop_ratio: float = 0.875
    interpolation: str = "bicubic"
    unreadable: int = 0
    crop_area: float = 1.0
    flip: float = 0.0
    randaugment: int = 0
    randaugment_magnitude: float = 9.0
    randaugment_deviation: float = 0.0
    randaugment_probability: float = 1.0
    erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        check_number("crop_ratio", self.crop_ratio, float, 0.1, 1)
        check_choice("interpolation", self.interpolation, INTERPOLATIONS)
        check_number("unreadable", self.unreadable, int, 0, MOST_FAILURES)
        check_number("crop_area", self.crop_area, float, 0.001, 1)
        for name in ("flip", "randaugment_probability", "erasing"):
            check_number(name, getattr(self, name), float, 0, 1)
        check_number("randaugment", self.randaugment, int, 0, MOST_OPERATIONS)
        for name in ("randaugment_magnitude", "randaugment_deviation"):
            check_number(name, getattr(self, name), float, 0, HIGHEST)
        for name in ("mixup", "cutmix"):
            check_number(name, getattr(self, name), float, 0, SHARPEST)

    @property
    def resampling(self) -> Image.Resampling:
        """Pillow's name of ``interpolation``."""
        return INTERPOLATIONS[self.interpolation]

    @property
    def changes_pictures(self) -> bool:
        """Whether any picture is changed by itself; mixing needs a batch."""
        return self.crop_area < 1 or bool(self.flip or self.randaugment or self.erasing)
