"""Float rows held to what the engine may store: int8, signed powers of two, or -1, 0 and 1.

Gradients pass the rounding straight through, so a hash is trained under the constraint it will be
exported with. Ternary thresholds after Li and Liu, "Ternary Weight Networks", arXiv 1605.04711.
"""

import torch

from ecoformer.spec.weights import WEIGHT_FORMATS

__all__ = ["constrain", "quantise_rows", "round_weights"]

TERNARY_THRESHOLD = 0.7
"""Ternary weights are 0 below this share of the row's mean magnitude (the paper's rule)."""


def constrain(rows, weights):
    """``rows`` [..., f] at the nearest values that ``weights`` can hold; straight-through."""
    integers, scale = quantise_rows(rows.detach(), weights)
    return rows + (integers * scale - rows.detach())


def quantise_rows(rows, weights):
    """Integers and a scale per row: ``rows ≈ integers · scale``.

    Parameters
    ----------
    rows : Tensor [..., f]
    weights : str
        A key of :data:`ecoformer.spec.weights.WEIGHT_FORMATS`.

    Returns
    -------
    integers : Tensor [..., f]
        Of the dtype of ``rows``; every element is admitted by the format.
    scale : Tensor [..., 1]
        Positive.
    """
    size = rows.abs()
    if weights == "ternary":
        kept = size > TERNARY_THRESHOLD * size.mean(-1, keepdim=True)
        scale = (size * kept).sum(-1, keepdim=True) / kept.sum(-1, keepdim=True).clamp_min(1)
        scale = torch.where(scale > 0, scale, 1)
        return rows.sign() * kept, scale
    largest = size.amax(-1, keepdim=True)
    scale = torch.where(largest > 0, largest, 1) / WEIGHT_FORMATS[weights].values[-1]
    return round_weights(rows / scale, weights), scale


def round_weights(values, weights):
    """The admitted weight nearest to each of ``values``; beyond the largest, the largest."""
    top = WEIGHT_FORMATS[weights].values[-1]
    if weights != "pow2":
        return values.round().clamp(-top, top)
    size = values.abs()
    # 2^e and 2^(e+1) meet at 1.5·2^e: two thirds of a value have the exponent of the nearer one.
    power = torch.exp2((size / 0.75).clamp_min(0.5).log2().floor()).clamp(1, top)
    return values.sign() * torch.where(size >= 0.5, power, 0)
