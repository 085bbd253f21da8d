# SPDX-License-Identifier: Apache-2.0
"""Softmax attention and EcoFormer attention, as functions and as modules."""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from ecoformer.golden.attention_config import VALUE_TERMS, AttentionConfig
from ecoformer.golden.hashing import Hash
from ecoformer.spec.checks import check_choice

__all__ = [
    "Attention",
    "EcoFormerAttention",
    "SoftmaxAttention",
    "causal_attention",
    "cores_of",
    "linear_attention",
    "quadratic_attention",
    "similarity_attention",
    "softmax_attention",
]

CHUNK = 64
"""Tokens that :func:`causal_attention` takes at once; any number gives the same function."""


def softmax_attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    key_mask: torch.Tensor | None = None,
    scale: float | None = None,
    *,
    causal: bool = False,
) -> torch.Tensor:
    """softmax(scale·q·kᵀ)·v, for q and k [B, H, N, D] and v [B, H, N, E].

    ``key_mask`` (bool [B, N] or None) is true for keys that count; ``scale`` is 1/√D when None.
    With ``causal`` a query meets the keys up to its own, which counts for it in any case.
    """
    mask = None if key_mask is None else key_mask[:, None, None, :]
    if causal:
        so_far = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool, device=q.device).tril()
        own = torch.eye(len(so_far), dtype=torch.bool, device=q.device)
        mask = so_far if mask is None else so_far & mask | own
    return scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)


def linear_attention(
    h: torch.Tensor,
    v: torch.Tensor,
    offset: float | torch.Tensor,
    value_term: str = "sum",
    *,
    queries: torch.Tensor | None = None,
    key_mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """EcoFormer attention in its linear form.

    ::

        S = Σ_j h_j v_jᵀ    z = Σ_j h_j    V = Σ_j v_j (sum) or v_i (own)
        o_i = (h_iᵀ S + c·V) / (h_iᵀ z + c·N)

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

    Returns
    -------
    Tensor [B, H, M, E]
    """
    queries = h if queries is None else queries
    h, v, count = _masked(h, v, key_mask)
    state = h.mT @ v
    numerator = queries @ state + _per_head(offset) * _values(v, value_term)
    denominator = queries @ h.sum(-2, keepdim=True).mT + _per_head(offset) * count
    return _guarded_quotient(numerator, denominator)


def causal_attention(
    h: torch.Tensor,
    v: torch.Tensor,
    offset: float | torch.Tensor,
    value_term: str = "sum",
    *,
    queries: torch.Tensor | None = None,
    key_mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """:func:`linear_attention` in which a token meets itself and those before it, linear in N.

    ::

        o_i = (h_iᵀ S_i + c·V_i) / (h_iᵀ z_i + c·i),  S_i = S_{i-1} + h_i v_iᵀ, z and V alike

    Parameters and result are those of :func:`linear_attention`, with as many queries as keys. Time
    and memory are those of a state and :data:`CHUNK` tokens, whose pairs are written out.
    """
    queries = h if queries is None else queries
    h, v, _ = _masked(h, v, key_mask)
    count = v.new_ones(*v.shape[:-1], 1) if key_mask is None else key_mask[:, None, :, None].to(v)
    # Sums of ones count the keys, so z, V and the count go along with S.
    ones = torch.ones_like(v[..., :1])
    sums = torch.cat([v, ones], -1)  # hᵀ of it is S and hᵀz
    plain = torch.cat([v, count.expand_as(ones)], -1)  # its sum is V and the count
    state, total, results = 0.0, 0.0, []
    for q, k, s, p in zip(*(x.split(CHUNK, -2) for x in (queries, h, sums, plain)), strict=True):
        weighted = q @ state if isinstance(state, torch.Tensor) else 0.0
        weighted = weighted + (q @ k.mT).tril() @ s
        totals = total + p.cumsum(-2)
        state, total = state + k.mT @ s, totals[..., -1:, :]
        own = TERMS_SO_FAR[value_term](totals[..., :-1], p[..., :-1])
        offsets = _per_head(offset)
        results.append(_guarded_quotient(
            weighted[..., :-1] + offsets * own, weighted[..., -1:] + offsets * totals[..., -1:]
        ))
    return torch.cat(results, -2)


def quadratic_attention(
    h: torch.Tensor,
    v: torch.Tensor,
    offset: float | torch.Tensor,
    value_term: str = "sum",
    *,
    queries: torch.Tensor | None = None,
    key_mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """The same function as :func:`linear_attention` with its N × N weights written out."""
    similarity = (h if queries is None else queries) @ h.mT
    return similarity_attention(similarity, v, offset, value_term, key_mask)


def similarity_attention(
    similarity: torch.Tensor,
    v: torch.Tensor,
    offset: float | torch.Tensor,
    value_term: str = "sum",
    key_mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """The same function for any ``similarity`` [B, H, M, N] of queries and keys."""
    columns, v, count = _masked(similarity.mT, v, key_mask)
    similarity = columns.mT
    numerator = similarity @ v + _per_head(offset) * _values(v, value_term)
    denominator = similarity.sum(-1, keepdim=True) + _per_head(offset) * count
    return _guarded_quotient(numerator, denominator)


def _masked(h, v, key_mask):
    """Codes and values with those of padding set to 0, and the number of keys that count."""
    if key_mask is None:
        return h, v, h.shape[-2]
    weight = key_mask[:, None, :, None].to(v.dtype)
    return h * weight, v * weight, weight.sum(-2, keepdim=True)


def _per_head(offset):
    return offset[:, None, None] if isinstance(offset, torch.Tensor) and offset.ndim else offset


def _values(v, value_term):
    check_choice("value_term", value_term, VALUE_TERMS)
    return TERMS[value_term](v)


TERMS = {"sum": lambda v: v.sum(-2, keepdim=True), "own": lambda v: v}
"""What the offset multiplies, by ``value_term``."""
TERMS_SO_FAR = {"sum": lambda total, own: total, "own": lambda total, own: own}
"""Same, under a causal mask: of the sums so far and the own values."""


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
    causal : bool
        Whether a token attends to itself and those before it only.

    Members
    -------
    observer : callable or None
        Called as ``observer(layer, q, k, v, key_mask)`` before the attention.
    """

    def __init__(
        self, heads: int, scale: float | None = None, layer: int = 0, *, causal: bool = False
    ):
        super().__init__()
        self.heads = heads
        self.scale = scale
        self.causal = causal
        self.layer = layer
        self.observer: Callable[..., None] | None = None

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

    def _attend(self, q, k, v, key_mask):
        return softmax_attention(q, k, v, key_mask, self.scale, causal=self.causal)


class EcoFormerAttention(SoftmaxAttention):
    """EcoFormer attention of the heads of one layer, without projections.

    Parameters
    ----------
    heads : int
        Heads H.
    head_dim : int
        Elements of a token D.
    config : AttentionConfig
    scale, layer, causal
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
        shapes as in ``forward``. So an integer model or a simulation runs inside the network.
    """

    def __init__(
        self,
        heads: int,
        head_dim: int,
        config: AttentionConfig,
        scale: float | None = None,
        layer: int = 0,
        *,
        causal: bool = False,
    ):
        super().__init__(heads, scale, layer, causal=causal)
        self._linear = causal_attention if causal else linear_attention
        self.config = config
        self.hash = config.make_hash(heads, head_dim)
        self.query_hash = None if config.shares_queries else config.make_hash(heads, head_dim)
        offset = torch.full((heads,), float(config.offset or config.code_bits + 1))
        self.offset = nn.Parameter(offset, requires_grad=False)
        self.exact = False
        self.override: Callable[..., torch.Tensor] | None = None

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

    def _attend(self, q, k, v, key_mask):
        if self.exact:
            return super()._attend(q, k, v, key_mask)
        if self.override is not None:
            return self.override(self.layer, q, k, v, key_mask)
        queries, h = self.codes(q, k)
        term = self.config.value_term
        return self._linear(h, v, self.offset, term, queries=queries, key_mask=key_mask)


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
