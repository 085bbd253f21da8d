"""Softmax attention and EcoFormer attention, as functions and as modules."""

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from ecoformer.golden.attention_config import VALUE_TERMS
from ecoformer.spec.checks import check_choice

__all__ = [
    "Attention",
    "EcoFormerAttention",
    "SoftmaxAttention",
    "cores_of",
    "softmax_attention",
    "linear_attention",
    "quadratic_attention",
]

def softmax_attention(q, k, v, keys=None, scale=None):
    """softmax(scale·q·kᵀ)·v, for q and k [B, H, N, D] and v [B, H, N, E].

    ``keys`` (bool [B, N] or None) are the keys that count; ``scale`` is 1/√D when None.
    """
    mask = None if keys is None else keys[:, None, None, :]
    return scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)


def linear_attention(h, v, offset, value_term="sum", *, queries=None, keys=None):
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
    keys : bool Tensor [B, N] or None
        Keys that count, as those do that are no padding; all when None.

    Returns
    -------
    Tensor [B, H, M, E]
    """
    queries = h if queries is None else queries
    h, v, count = _present(h, v, keys)
    state = h.mT @ v
    numerator = queries @ state + _per_head(offset) * _values(v, value_term)
    denominator = queries @ h.sum(-2, keepdim=True).mT + _per_head(offset) * count
    return _guarded_quotient(numerator, denominator)


def quadratic_attention(h, v, offset, value_term="sum", *, queries=None, keys=None):
    """The same function as :func:`linear_attention` with its N × N weights written out."""
    queries = h if queries is None else queries
    h, v, count = _present(h, v, keys)
    similarity = queries @ h.mT
    numerator = similarity @ v + _per_head(offset) * _values(v, value_term)
    denominator = similarity.sum(-1, keepdim=True) + _per_head(offset) * count
    return _guarded_quotient(numerator, denominator)


def _present(h, v, keys):
    """Codes and values with those of absent keys 0, and how many keys are there."""
    if keys is None:
        return h, v, h.shape[-2]
    there = keys[:, None, :, None].to(v.dtype)
    return h * there, v * there, there.sum(-2, keepdim=True)


def _per_head(offset):
    return offset[:, None, None] if isinstance(offset, torch.Tensor) and offset.ndim else offset


def _values(v, value_term):
    check_choice("value_term", value_term, VALUE_TERMS)
    return v.sum(-2, keepdim=True) if value_term == "sum" else v


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

    Members
    -------
    observer : callable or None
        Called as ``observer(layer, q, k, v, keys)`` before the attention.
    """

    def __init__(self, heads, scale=None, layer=0):
        super().__init__()
        self.heads = heads
        self.scale = scale
        self.layer = layer
        self.observer = None

    def forward(self, q, k, v, keys=None):
        """Outputs [B, H, M, E] of queries q [B, H, M, D], keys k [B, H, N, D], values [B, H, N, E].

        ``keys`` (bool [B, N]) are the keys that count; all when None.
        """
        if self.observer is not None:
            self.observer(self.layer, q, k, v, keys)
        return self._attend(q, k, v, keys)

    def _attend(self, q, k, v, keys):
        return softmax_attention(q, k, v, keys, self.scale)


class EcoFormerAttention(SoftmaxAttention):
    """EcoFormer attention of the heads of one layer, without projections.

    Parameters
    ----------
    heads : int
        Heads H.
    head_dim : int
        Elements of a token D.
    config : AttentionConfig
    scale, layer
        As in :class:`SoftmaxAttention`.

    Members
    -------
    hash : Hash
        Of the keys, and of the queries if they are shared.
    query_hash : Hash or None
        Of the queries if they are separate.
    offset : Parameter [H]
        The offset c of each head; requires no gradient unless hash learning says so.
    exact : bool
        Whether softmax attention is computed instead: what the layer did before it was replaced.
    engine : callable or None
        Replaces the float attention when set: ``engine(layer, q, k, v, keys) -> o`` with shapes as
        in ``forward``. So an integer model or a simulation runs inside the network.
    """

    def __init__(self, heads, head_dim, config, scale=None, layer=0):
        super().__init__(heads, scale, layer)
        self.config = config
        self.hash = config.make_hash(heads, head_dim)
        separate = config.queries == "separate"
        self.query_hash = config.make_hash(heads, head_dim) if separate else None
        offset = torch.full((heads,), float(config.offset or config.code_bits + 1))
        self.offset = nn.Parameter(offset, requires_grad=False)
        self.exact = False
        self.engine = None

    @property
    def hashes(self):
        """The hash of the keys, and that of separate queries."""
        return [self.hash] if self.query_hash is None else [self.hash, self.query_hash]

    @torch.no_grad()
    def limit_offset(self):
        """Bring the offset back into 0…2b, what the hardware holds, after a step of training."""
        self.offset.clamp_(0, 2 * self.config.code_bits)

    def codes(self, q, k):
        """Codes of queries and keys; one and the same Tensor where they are shared."""
        if self.query_hash is not None:
            return self.query_hash(q), self.hash(k)
        if q is not k:
            raise ValueError("queries must be the keys with queries = 'shared'")
        h = self.hash(k)
        return h, h

    def _attend(self, q, k, v, keys):
        if self.exact:
            return softmax_attention(q, k, v, keys, self.scale)
        if self.engine is not None:
            return self.engine(self.layer, q, k, v, keys)
        queries, h = self.codes(q, k)
        term = self.config.value_term
        return linear_attention(h, v, self.offset, term, queries=queries, keys=keys)


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


def cores_of(model):
    """The EcoFormer attention of every layer of a converted network, in the order of use."""
    found = [m for m in model.modules() if isinstance(m, EcoFormerAttention)]
    return sorted(found, key=lambda core: core.layer)
