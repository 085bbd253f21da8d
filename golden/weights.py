# SPDX-License-Identifier: Apache-2.0
"""Float rows held to what the engine may store: int8, signed powers of two, or -1, 0 and 1.

``float`` rounds nothing: it is what the paper's own networks compute with, and no engine stores it.

Gradients pass the rounding straight through, so a hash is trained under the constraint it will be
exported with. Ternary thresholds after Li and Liu, "Ternary Weight Networks", arXiv 1605.04711.
"""

from typing import ClassVar

import torch

from ecoformer.spec.choices import Weights
from ecoformer.spec.weights import WEIGHT_FORMATS

__all__ = ["FLOAT", "ROUNDINGS", "Rounding", "constrain", "quantise_rows", "round_weights"]

FLOAT = "float"
"""The ``weights`` that are not rounded, and that no hardware has."""

TERNARY_THRESHOLD = 0.7
"""Ternary weights are 0 below this share of the row's mean magnitude (the paper's rule)."""


class Rounding:
    """Rounding to evenly spaced weights.

    Parameters
    ----------
    weights : str
        A key of :data:`ecoformer.spec.weights.WEIGHT_FORMATS`.

    Members
    -------
    is_fine : bool
        Whether rounding hardly changes a row, so that learning may ignore it until the end.
    """

    is_fine: ClassVar[bool] = False

    def __init__(self, weights: str):
        self.largest = WEIGHT_FORMATS[Weights.parse("weights", weights)].values[-1]

    def nearest(self, values: torch.Tensor) -> torch.Tensor:
        """The admitted weight nearest to each of ``values``; beyond the largest, the largest."""
        return values.round().clamp(-self.largest, self.largest)

    def quantise(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Integers and scale of ``rows``, as :func:`quantise_rows` gives them."""
        size = rows.abs().amax(-1, keepdim=True)
        scale = torch.where(size > 0, size, 1) / self.largest
        return self.nearest(rows / scale), scale


class FineRounding(Rounding):
    """Rounding to many weights."""

    is_fine = True


class NoRounding(Rounding):
    """Rows as they are."""

    is_fine = True

    def __init__(self) -> None:
        self.largest = 1

    def nearest(self, values: torch.Tensor) -> torch.Tensor:
        """The ``values`` themselves."""
        return values

    def quantise(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The ``rows`` themselves, and 1."""
        return rows, torch.ones_like(rows[..., :1])


class PowerRounding(Rounding):
    """Rounding to 0 and ±2^e."""

    def nearest(self, values: torch.Tensor) -> torch.Tensor:
        size = values.abs()
        # 2^e and 2^(e+1) meet at 1.5·2^e: two thirds of a value have the nearer one's exponent.
        power = torch.exp2((size / 0.75).clamp_min(0.5).log2().floor()).clamp(1, self.largest)
        return values.sign() * torch.where(size >= 0.5, power, 0)


class TernaryRounding(Rounding):
    """Rounding of rows to -1, 0 and 1 with the scale that fits them best."""

    def quantise(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        size = rows.abs()
        kept = size > TERNARY_THRESHOLD * size.mean(-1, keepdim=True)
        scale = (size * kept).sum(-1, keepdim=True) / kept.sum(-1, keepdim=True).clamp_min(1)
        return rows.sign() * kept, torch.where(scale > 0, scale, 1)


ROUNDINGS: dict[str, Rounding] = {
    "int8": FineRounding("int8"),
    "pow2": PowerRounding("pow2"),
    "ternary": TernaryRounding("ternary"),
    FLOAT: NoRounding(),
}
"""Rounding of every ``weights``."""


def constrain(rows: torch.Tensor, weights: str) -> torch.Tensor:
    """``rows`` [..., f] at the nearest values that ``weights`` can hold; straight-through."""
    integers, scale = quantise_rows(rows.detach(), weights)
    return rows + (integers * scale - rows.detach())


def quantise_rows(rows: torch.Tensor, weights: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Integers and a scale per row: ``rows ≈ integers · scale``.

    Parameters
    ----------
    rows : Tensor [..., f]
    weights : str
        A key of :data:`ROUNDINGS`.

    Returns
    -------
    integers : Tensor [..., f]
        Of the dtype of ``rows``; every element is admitted by the format.
    scale : Tensor [..., 1]
        Positive.
    """
    return ROUNDINGS[weights].quantise(rows)


def round_weights(values: torch.Tensor, weights: str) -> torch.Tensor:
    """The admitted weight nearest to each of ``values``; beyond the largest, the largest."""
    return ROUNDINGS[weights].nearest(values)
