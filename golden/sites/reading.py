# SPDX-License-Identifier: Apache-2.0
"""What one call of ``scaled_dot_product_attention`` asks, in the shapes of EcoFormer attention."""

import math
from dataclasses import dataclass

import torch

from ecoformer.golden.masks import MASKS

__all__ = ["Query", "Unconvertible", "is_traced", "read"]

CLOSED = -1e4
"""Largest number that, added to a score, hides a key: its weight e^-10000 is 0 in every type."""


class Unconvertible(ValueError):
    """Attention that EcoFormer attention cannot replace; the message says why."""


@dataclass(frozen=True)
class Query:
    """Queries, keys and values of a call, and which keys it sees.

    Parameters
    ----------
    q : Tensor [B, H, M, D]
    k : Tensor [B, H, N, D]
        The same Tensor as ``q`` where the call was given one for both.
    v : Tensor [B, H, N, E]
    key_mask : bool Tensor [B, N] or None
        True for keys that count.
    blind : bool Tensor [B or 1, 1, M, 1] or None
        True for queries that may see no key at all, which torch answers by 0.
    masks : tuple of str
        The masks, keys of :data:`golden.masks.MASKS`, that describe the call: one, or all where
        there is a single query. Empty while a compiler traces, which cannot look.
    leading : torch.Size
        What B and H were: all dimensions before the last two.
    key_heads : int
        Heads of keys, fewer than H where queries are grouped.
    """

    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor
    key_mask: torch.Tensor | None
    blind: torch.Tensor | None
    masks: tuple[str, ...]
    leading: torch.Size
    key_heads: int

    def restore(self, o: torch.Tensor) -> torch.Tensor:
        """``o`` [B, H, M, …] in the shape that the call expects."""
        o = o if self.blind is None else o.masked_fill(self.blind, 0)
        return o.reshape(*self.leading, *o.shape[2:])


def read(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Query:
    """What a call with these arguments asks; those of ``scaled_dot_product_attention``.

    The dimension before the tokens counts heads; a call of three dimensions or two has one head.
    Dropout of weights is left out: EcoFormer attention has none to drop.

    Raises
    ------
    Unconvertible
        Nested tensors, or a mask that is neither padding nor causal.
    """
    if any(x.is_nested for x in (query, key, value)):
        raise Unconvertible("nested tensors; give padded ones and a mask")
    key_heads = key.shape[-3] if key.ndim > 3 else 1
    if enable_gqa:
        key, value = (
            x.repeat_interleave(query.shape[-3] // x.shape[-3], -3) for x in (key, value)
        )
    if is_causal and attn_mask is None and query.shape[-2] > 1:
        queries, keys = query.shape[-2], key.shape[-2]
        if queries > keys:
            raise Unconvertible(f"causal attention of {queries} queries to {keys} keys")
        if keys > queries:  # counted from the first key: the rest is never seen
            key, value = key[..., :queries, :], value[..., :queries, :]
    leading = torch.broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2])
    q, k, v = (_with_heads(x, leading) for x in (query, key, value))
    key_mask, blind, masks = _seen(attn_mask, is_causal, q, k, leading)
    q = k if query is key else q
    return Query(q, k, v, key_mask, blind, masks, leading, key_heads)


def _with_heads(x, leading):
    """``x`` [leading, tokens, width] as [B, H, tokens, width]."""
    if x.ndim == 4 and x.shape[:2] == leading:
        return x
    heads = leading[-1] if len(leading) > 1 else 1
    x = x.expand(*leading, *x.shape[-2:])
    return x.reshape(math.prod(leading) // heads, heads, *x.shape[-2:])


def _seen(mask, is_causal, q, k, leading):
    """(keys that count [B, N] or None, blind queries or None, masks that the call may have)."""
    if mask is None:
        one = q.shape[-2] == 1
        return None, None, tuple(MASKS) if one else ("causal",) if is_causal else ("full",)
    traced = is_traced() or mask.is_cuda and torch.cuda.is_current_stream_capturing()
    is_open = mask > CLOSED if traced and mask.is_floating_point() else _switch(mask)
    allowed = _of_sequences(is_open, leading)
    if not traced and (allowed != allowed[:, :1]).any():
        raise Unconvertible("a mask that differs from head to head")
    allowed = allowed[:, 0]
    key_mask = allowed.any(-2).expand(len(q), -1)
    blind = ~allowed.any(-1)[:, None, :, None] if allowed.shape[-2] > 1 else None
    if traced:
        return key_mask, blind, ()
    masks = tuple(name for name in MASKS if _agrees(name, allowed, key_mask, q, k))
    if not masks:
        raise Unconvertible("a mask that is neither padding nor causal")
    return key_mask, blind if blind is not None and blind.any() else None, masks


def _of_sequences(mask, leading):
    """A mask as [B or 1, H or 1, M or 1, N]: small where it is the same for all."""
    missing = len(leading) + 2 - mask.ndim
    mask = mask.reshape(*max(0, missing) * (1,), *mask.shape)
    batch, heads = leading[:-1], mask.shape[-3:-2]
    if len(leading) < 2:
        batch, heads = leading, ()
    if all(size == 1 for size in mask.shape[: len(batch)]):
        batch = len(batch) * (1,)
    return _with_heads(mask, (*batch, *heads))


def _agrees(name, allowed, key_mask, q, k):
    """Whether the mask ``name`` and padding give ``allowed``, but for queries that see nothing."""
    visible = MASKS[name].visible(q.shape[-2], k.shape[-2], k.device)
    expected = key_mask[:, None]
    if visible is not None:
        if q.shape[-2] > k.shape[-2]:
            return False
        expected = expected & visible
    blind = ~allowed.any(-1, keepdim=True) | ~expected.any(-1, keepdim=True)
    return bool(((allowed == expected) | blind).all())


def _switch(mask):
    """A mask as bool; refuses numbers that do more than open and close."""
    if mask.dtype == torch.bool:
        return mask
    if not ((mask == 0) | (mask <= CLOSED)).all():
        raise Unconvertible("a bias is added to the scores of queries and keys")
    return mask == 0


def is_traced() -> bool:
    """Whether a compiler records the operations, whose results cannot be looked at."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()
