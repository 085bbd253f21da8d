# SPDX-License-Identifier: Apache-2.0
"""How well codes tell similar tokens from dissimilar ones."""

import torch

__all__ = ["extremes", "separation"]

PAIRS = 10
"""Keys of a query that count as most and as least similar."""


def separation(
    codes: torch.Tensor,
    similarity: torch.Tensor,
    pairs: int = PAIRS,
    queries: torch.Tensor | None = None,
) -> torch.Tensor:
    """P(code similarity of a top pair > code similarity of a bottom pair), head by head.

    Pairs are the keys most and least similar to a query.

    A tie counts one half, so random codes score 0.5 and perfect ones 1.

    Parameters
    ----------
    codes : Tensor [B, H, N, b]
        Codes ±1 of the keys.
    similarity : Tensor [B, H, M, N]
        Attention map, or logits.
    pairs : int
        How many of a row are top, and how many bottom; at most N/2 are used.
    queries : Tensor [B, H, M, b] or None
        Codes of separate queries; those of the keys when None.

    Returns
    -------
    Tensor [H]
    """
    top, bottom = extremes(similarity, pairs)
    product = (codes if queries is None else queries) @ codes.mT
    near, far = product.gather(-1, top), product.gather(-1, bottom)
    margin = near[..., :, None] - far[..., None, :]
    return (0.5 * (1 + margin.sign())).mean((0, 2, 3, 4))


def extremes(similarity: torch.Tensor, pairs: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Columns of the largest and smallest entries of each row [..., N], at most N/2 of each."""
    count = min(pairs, similarity.shape[-1] // 2)
    return (
        similarity.topk(count, sorted=False).indices,
        similarity.topk(count, largest=False, sorted=False).indices,
    )
