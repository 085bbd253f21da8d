# SPDX-License-Identifier: Apache-2.0
"""Softmax attention and EcoFormer attention, as functions and as modules."""

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from ecoformer.golden.attention_config import VALUE_TERMS, AttentionConfig
from ecoformer.golden.hashing import Hash
from ecoformer.golden.kinds import kind_of
from ecoformer.golden.masks import MASKS, softmax_mask
from ecoformer.spec.checks import check_choice

__all__ = [
    "Attention",
    "EcoFormerAttention",
    "SoftmaxAttention",
    "cores_of",
    "linear_attention",
    "quadratic_attention",
    "similarity_attention",
    "softmax_attention",
]


def softmax_attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    key_mask: torch.Tensor | None = None,
    scale: float | None = None,
    mask_kind: str = "full",
) -> torch.Tensor:
    """softmax(scale·q·kᵀ)·v, for q and k [B, H, N, D] and v [B, H, N, E].

    ``key_mask`` (bool [B, N] or None) is true for keys that count; ``scale`` is 1/√D when None;
    ``mask_kind`` is a key of :data:`golden.masks.MASKS`.
    """
    allowed = softmax_mask(mask_kind, q, k, key_mask)
    return scaled_dot_product_attention(q, k, v, attn_mask=allowed, scale=scale)


def linear_attention(
    h: torch.Tensor,
    v: torch.Tensor,
    offset: float | torch.Tensor,
    value_term: str = "sum",
    *,
    queries: torch.Tensor | None = None,
    key_mask: torch.Tensor | None = None,
    mask_kind: str = "full",
) -> torch.Tensor:
    """EcoFormer attention in its linear form.

    ::

        S = Σ_j h_j v_jᵀ    z = Σ_j h_j    V = Σ_j v_j (sum) or v_i (own)
        o_i = (h_iᵀ S + c·V) / (h_iᵀ z + c·N)

    With a causal mask the sums of query i end at its own token, and N is their number of terms.
    A denominator ≤ 0, possible with c ≤ b only, gives the output 0.

    Parameters
    ----------
    h : Tensor [B, H, N, b]
        Codes ±1 of the keys.
    v : Tensor [B, H, N, E]
        Values.
    offset : float or Tensor [H]
        The c above.
    value_term : str
        ``sum`` or ``own``.
    queries : Tensor [B, H, M, b] or None
        Codes of the queries; those of the keys when None.
    key_mask : bool Tensor [B, N] or None
        True for keys that count, false for padding; all count when None.
    mask_kind : str
        A key of :data:`golden.masks.MASKS`: which keys a query sees.

    Returns
    -------
    Tensor [B, H, M, E]
    """
    queries = h if queries is None else queries
    sums, count = MASKS[mask_kind], queries.shape[-2]
    h, v, weight = _masked(h, v, key_mask)
    total = _values(v, value_term, sums, count)
    numerator = sums.product(queries, h, v) + _per_head(offset) * total
    denominator = sums.agreement(queries, h) + _per_head(offset) * sums.total(weight, count)
    return _guarded_quotient(numerator, denominator)


def quadratic_attention(
    h: torch.Tensor,
    v: torch.Tensor,
    offset: float | torch.Tensor,
    value_term: str = "sum",
    *,
    queries: torch.Tensor | None = None,
    key_mask: torch.Tensor | None = None,
    mask_kind: str = "full",
) -> torch.Tensor:
    """The same function as :func:`linear_attention` with its N × N weights written out."""
    similarity = (h if queries is None else queries) @ h.mT
    return similarity_attention(similarity, v, offset, value_term, key_mask, mask_kind)


def similarity_attention(
    similarity: torch.Tensor,
    v: torch.Tensor,
    offset: float | torch.Tensor,
    value_term: str = "sum",
    key_mask: torch.Tensor | None = None,
    mask_kind: str = "full",
) -> torch.Tensor:
    """The same function for any ``similarity`` [B, H, M, N] of queries and keys."""
    columns, v, weight = _masked(similarity.mT, v, key_mask)
    similarity, sums = columns.mT, MASKS[mask_kind]
    queries, keys = similarity.shape[-2:]
    visible = sums.visible(queries, keys, v.device)
    if visible is not None:
        similarity = similarity * visible
    total = _values(v, value_term, sums, queries)
    numerator = similarity @ v + _per_head(offset) * total
    count = sums.total(weight, queries)
    denominator = similarity.sum(-1, keepdim=True) + _per_head(offset) * count
    return _guarded_quotient(numerator, denominator)


def _masked(h, v, key_mask):
    """Codes and values with those of padding set to 0, and 1 for every key that counts."""
    if key_mask is None:
        return h, v, v.new_ones(1, 1, h.shape[-2], 1)
    weight = key_mask[:, None, :, None].to(v.dtype)
    return h * weight, v * weight, weight


def _per_head(offset):
    return offset[:, None, None] if isinstance(offset, torch.Tensor) and offset.ndim else offset


def _values(v, value_term, sums, queries):
    check_choice("value_term", value_term, VALUE_TERMS)
    return TERMS[value_term](v, sums, queries)


TERMS = {"sum": lambda v, sums, queries: sums.total(v, queries), "own": lambda v, *_: v}
"""What the offset multiplies, by ``value_term``."""


def _guarded_quotient(numerator, denominator):
    positive = denominator > 0
    # The unused branch must be finite too, or its gradient is NaN.
    return torch.where(positive, numerator / torch.where(positive, denominator, 1.0), 0.0)


class SoftmaxAttention(nn.Module):
    """Softmax attention of the heads of one layer, without projections.

    Parameters
    ----------
    heads : int
        Heads H.
    scale : float or None
        Factor of q·k; 1/√D when None.
    layer : int
        Number of this layer in its network, counted from 0.
    mask : str
        Which keys a query sees: a key of :data:`golden.masks.MASKS`.
    cross : bool
        Whether queries are of another sequence than keys.

    Members
    -------
    observer : callable or None
        Called as ``observer(layer, q, k, v, key_mask)`` before the attention.
    """

    def __init__(
        self, heads: int, scale: float | None = None, layer: int = 0, mask: str = "full",
        cross: bool = False,
    ):
        super().__init__()
        self.heads = heads
        self.scale = scale
        self.layer = layer
        self.mask = mask
        self.cross = cross
        self.observer: Callable[..., None] | None = None

    @property
    def kind(self) -> str:
        """What attends to what: a key of :data:`golden.kinds.KINDS`."""
        return kind_of(self.mask, self.cross)

    def forward(
        self,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        key_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Outputs [B, H, M, E] of queries q [B, H, M, D], keys k [B, H, N, D], values [B, H, N, E].

        ``key_mask`` (bool [B, N]) is true for keys that count; all count when None.
        """
        if self.observer is not None:
            self.observer(self.layer, q, k, v, key_mask)
        return self._attend(q, k, v, key_mask)

    def softmax(
        self,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        key_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """What softmax attention answers here, with this layer's scale and mask."""
        return softmax_attention(q, k, v, key_mask, self.scale, self.mask)

    def _attend(self, q, k, v, key_mask):
        return self.softmax(q, k, v, key_mask)


class EcoFormerAttention(SoftmaxAttention):
    """EcoFormer attention of the heads of one layer, without projections.

    Parameters
    ----------
    heads : int
        Heads H.
    head_dim : int
        Elements of a token D.
    config : AttentionConfig
    scale, layer, mask, cross
        Same as :class:`SoftmaxAttention`.

    Members
    -------
    hash : Hash
        Of the keys, and of the queries if they are shared.
    query_hash : Hash or None
        Of the queries if they are separate.
    offset : Parameter [H]
        The offset c of each head; requires no gradient unless hash learning says so.
    exact : bool
        Whether softmax attention is computed instead, as before the layer was replaced.
    override : callable or None
        Replaces the float attention when set: ``override(layer, q, k, v, key_mask) -> o`` with
        shapes as in ``forward``, in float32. So an integer model or a simulation runs inside the
        network.
    site : golden.sites.site.Site or None
        Where it stands in a converted network.
    """

    def __init__(
        self,
        heads: int,
        head_dim: int,
        config: AttentionConfig,
        scale: float | None = None,
        layer: int = 0,
        mask: str = "full",
        cross: bool = False,
    ):
        super().__init__(heads, scale, layer, mask, cross)
        self.config = config
        self.hash = config.make_hash(heads, head_dim)
        self.query_hash = None if config.shares_queries else config.make_hash(heads, head_dim)
        offset = torch.full((heads,), float(config.offset or config.code_bits + 1))
        self.offset = nn.Parameter(offset, requires_grad=False)
        self.exact = False
        self.override: Callable[..., torch.Tensor] | None = None
        self.site: Any = None

    @property
    def hashes(self) -> list[Hash]:
        """The hash of the keys, and that of separate queries."""
        return [self.hash] if self.query_hash is None else [self.hash, self.query_hash]

    @torch.no_grad()
    def limit_offset(self) -> None:
        """Bring the offset back into 0…2b, what the hardware holds, after a step of training."""
        self.offset.clamp_(0, 2 * self.config.code_bits)

    def codes(self, q: torch.Tensor, k: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Codes of queries and keys; one and the same Tensor where they are shared."""
        if self.query_hash is not None:
            return self.query_hash(q), self.hash(k)
        if q is not k:
            raise ValueError("queries must be the keys with queries = 'shared'")
        h = self.hash(k)
        return h, h

    def weights(
        self, q: torch.Tensor, k: torch.Tensor, key_mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Weights [B, H, M, N] of the values: what the attention makes of one-hot values."""
        keys = k.shape[-2]
        one_hot = torch.eye(keys, dtype=q.dtype, device=q.device).expand(*k.shape[:2], -1, -1)
        attend = self.softmax if self.exact else self.linear
        return attend(q, k, one_hot, key_mask)

    def linear(
        self,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        key_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """What EcoFormer attention answers; summed in float32 at least, for ``v`` of any type."""
        queries, h = self.codes(q, k)
        wide = torch.promote_types(v.dtype, torch.float32)
        o = linear_attention(
            h.to(wide), v.to(wide), self.offset, self.config.value_term,
            queries=None if queries is h else queries.to(wide), key_mask=key_mask,
            mask_kind=self.mask,
        )
        return o.to(v.dtype)

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Self:
        """Convert or move every tensor; float32 is the least that is left to a hash.

        A code bit is the sign of a sum: half precision would flip those near 0.
        """
        def least_float32(tensor):
            converted = fn(tensor)
            if not tensor.is_floating_point() or converted.dtype.itemsize >= 4:
                return converted
            return tensor.to(converted.device)

        return super()._apply(least_float32, recurse)

    def _attend(self, q, k, v, key_mask):
        if self.exact:
            return self.softmax(q, k, v, key_mask)
        if self.override is not None:
            return self.override(self.layer, q.float(), k.float(), v.float(), key_mask).to(v.dtype)
        return self.linear(q, k, v, key_mask)


class Attention(nn.Module):
    """Multi-head attention of one block, with projections ``to_q``, ``to_k``, ``to_v``.

    Parameters
    ----------
    width : int
        Elements of a token of the network.
    heads : int
        Heads H; D = E = width / heads.
    layer : int
        Number of this layer in its network, counted from 0.

    Members
    -------
    core : SoftmaxAttention or EcoFormerAttention
        The attention between the projections: softmax until it is replaced.
    """

    def __init__(self, width: int, heads: int, layer: int = 0):
        super().__init__()
        if width % heads:
            raise ValueError(f"width must be a multiple of heads = {heads}, not {width}")
        self.heads = heads
        self.shared = False
        self.to_v = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.to_q = nn.Linear(width, width)
        self.to_k = nn.Linear(width, width)
        self.core = SoftmaxAttention(heads, layer=layer)

    def share_queries(self) -> None:
        """Let queries be the keys: one projection ``to_qk``, which was ``to_q``, remains."""
        if self.shared:
            return
        core = self.core
        self.to_qk = self.to_q
        del self.to_q, self.to_k, self.core
        self.core = core  # parameters stay in the order of use
        self.shared = True

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Attended tokens [B, N, width] of ``tokens`` [B, N, width]."""
        v = self._split(self.to_v(tokens))
        if self.shared:
            q = k = self._split(self.to_qk(tokens))
        else:
            q, k = self._split(self.to_q(tokens)), self._split(self.to_k(tokens))
        o = self.core(q, k, v)
        return self.out(o.transpose(1, 2).flatten(2))  # [B, H, N, E] -> [B, N, H·E]

    def _split(self, tokens):
        return tokens.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # [B, H, N, D]


def cores_of(model: nn.Module) -> list[EcoFormerAttention]:
    """The EcoFormer attention of every layer of a converted network, in the order of use."""
    cores = [m for m in model.modules() if isinstance(m, EcoFormerAttention)]
    return sorted(cores, key=lambda core: core.layer)
