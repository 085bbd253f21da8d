# SPDX-License-Identifier: Apache-2.0
"""Which keys a query sees, and the sums over them.

Sums over keys are what linear attention is made of; with a mask of its own each query has its own
sum, which a prefix sum gives in time linear in the number of tokens.
"""

from typing import Protocol

import torch
from torch.nn.functional import pad

__all__ = ["MASKS", "Mask", "softmax_mask"]

CHUNK = 64
"""Tokens whose products are written out between two prefix sums."""


class Mask(Protocol):
    """Which of N keys each of M queries sees; queries, codes and values are [..., tokens, width].

    The last query sees the last key, as in decoding with a cache.
    """

    @staticmethod
    def total(x: torch.Tensor, queries: int) -> torch.Tensor:
        """Sum of the rows of ``x`` [..., N, E] that each query sees: [..., M or 1, E]."""

    @staticmethod
    def product(q: torch.Tensor, h: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """``Σ_j (q_i·h_j) v_j`` over the keys j that query i sees: [..., M, E]."""

    @staticmethod
    def agreement(q: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
        """``Σ_j q_i·h_j`` over the keys j that query i sees: [..., M, 1]."""

    @staticmethod
    def visible(queries: int, keys: int, device: torch.device) -> torch.Tensor | None:
        """True where a query sees a key, bool [M, N]; None where all see all."""


class Full:
    """Every query sees every key."""

    @staticmethod
    def total(x: torch.Tensor, queries: int) -> torch.Tensor:
        return x.sum(-2, keepdim=True)

    @staticmethod
    def product(q: torch.Tensor, h: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return q @ (h.mT @ v)

    @staticmethod
    def agreement(q: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
        return q @ h.sum(-2, keepdim=True).mT

    @staticmethod
    def visible(queries: int, keys: int, device: torch.device) -> None:
        return None


class Causal:
    """A query sees its own token's key and those before it; never fewer keys than queries."""

    @staticmethod
    def total(x: torch.Tensor, queries: int) -> torch.Tensor:
        return x.cumsum(-2)[..., x.shape[-2] - queries :, :]

    @staticmethod
    def product(q: torch.Tensor, h: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        queries, keys = q.shape[-2], h.shape[-2]
        if queries == 1:
            return Full.product(q, h, v)
        chunks = -(-keys // CHUNK)
        missing = chunks * CHUNK - keys
        q = pad(q, (0, 0, keys - queries, missing)).unflatten(-2, (chunks, CHUNK))
        h, v = (pad(x, (0, 0, 0, missing)).unflatten(-2, (chunks, CHUNK)) for x in (h, v))
        state = (h.mT @ v).cumsum(-3)  # after each chunk
        before = pad(state[..., :-1, :, :], (0, 0, 0, 0, 1, 0))
        sums = q @ before + (q @ h.mT).tril() @ v
        return sums.flatten(-3, -2)[..., keys - queries : keys, :]

    @staticmethod
    def agreement(q: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
        return (q * Causal.total(h, q.shape[-2])).sum(-1, keepdim=True)

    @staticmethod
    def visible(queries: int, keys: int, device: torch.device) -> torch.Tensor:
        ones = torch.ones(queries, keys, dtype=torch.bool, device=device)
        return ones.tril(keys - queries)


MASKS: dict[str, type[Mask]] = {"full": Full, "causal": Causal}
"""Masks of attention, by name."""


def softmax_mask(
    mask: str, q: torch.Tensor, k: torch.Tensor, key_mask: torch.Tensor | None
) -> torch.Tensor | None:
    """True where a query of ``q`` [B, H, M, D] sees a key of ``k`` [B, H, N, D] that counts.

    Returns
    -------
    bool Tensor that broadcasts to [B, H, M, N], or None
        None where all see all.
    """
    keys = None if key_mask is None else key_mask[:, None, None, :]
    visible = MASKS[mask].visible(q.shape[-2], k.shape[-2], k.device)
    if visible is None or keys is None:
        return keys if visible is None else visible
    return visible & keys
