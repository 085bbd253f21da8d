"""Softmax attention and EcoFormer attention, as functions and as the module of a block."""

from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from golden.checks import check_choice, check_number
from golden.hashing import KernelHash

__all__ = [
    "AttentionConfig",
    "Attention",
    "observed",
    "softmax_attention",
    "linear_attention",
    "quadratic_attention",
    "VALUE_TERMS",
]

VALUE_TERMS = ("sum", "own")
"""What the offset multiplies in the numerator: all values (paper) or v_i (released code)."""


@dataclass(frozen=True, kw_only=True)
class AttentionConfig:
    """Shape of EcoFormer attention.

    Parameters
    ----------
    code_bits : int
        Bits b of a code.
    anchors : int
        Support samples m of the kernelized hash.
    value_term : str
        ``sum`` (paper) or ``own`` (released code).
    offset : float
        Offset c of the attention weights; 0 stands for b + 1, the released choice, which keeps
        every weight positive.

    Raises
    ------
    TypeError, ValueError
        A value of the wrong type or outside its range.
    """

    code_bits: int = 16
    anchors: int = 25
    value_term: str = "sum"
    offset: float = 0.0

    def __post_init__(self):
        check_number("code_bits", self.code_bits, int, 1)
        check_number("anchors", self.anchors, int, 1)
        check_choice("value_term", self.value_term, VALUE_TERMS)
        check_number("offset", self.offset, float, 0)


def softmax_attention(q, k, v):
    """softmax(q·kᵀ/√D)·v, for q and k [B, H, N, D] and v [B, H, N, E]."""
    return scaled_dot_product_attention(q, k, v)


def linear_attention(h, v, offset, value_term="sum"):
    """EcoFormer attention in its linear form.

    ::

        S = Σ_j h_j v_jᵀ    z = Σ_j h_j    V = Σ_j v_j (sum) or v_i (own)
        o_i = (h_iᵀ S + c·V) / (h_iᵀ z + c·N)

    A denominator ≤ 0, possible with c ≤ b only, gives the output 0.

    Parameters
    ----------
    h : Tensor [B, H, N, b]
        Codes ±1.
    v : Tensor [B, H, N, E]
        Values.
    offset : float or Tensor []
        The c above.
    value_term : str
        ``sum`` or ``own``.

    Returns
    -------
    Tensor [B, H, N, E]
    """
    state = torch.einsum("bhnr,bhne->bhre", h, v)
    code_sum = h.sum(-2)
    numerator = torch.einsum("bhnr,bhre->bhne", h, state) + offset * _values(v, value_term)
    denominator = torch.einsum("bhnr,bhr->bhn", h, code_sum) + offset * h.shape[-2]
    return _guarded_quotient(numerator, denominator[..., None])


def quadratic_attention(h, v, offset, value_term="sum"):
    """The same function as :func:`linear_attention` with its N × N weights written out."""
    similarity = torch.einsum("bhir,bhjr->bhij", h, h)
    numerator = torch.einsum("bhij,bhje->bhie", similarity, v) + offset * _values(v, value_term)
    denominator = (similarity + offset).sum(-1, keepdim=True)
    return _guarded_quotient(numerator, denominator)


def _values(v, value_term):
    check_choice("value_term", value_term, VALUE_TERMS)
    return v.sum(-2, keepdim=True) if value_term == "sum" else v


def _guarded_quotient(numerator, denominator):
    positive = denominator > 0
    # The unused branch must be finite too, or its gradient is NaN.
    return torch.where(positive, numerator / torch.where(positive, denominator, 1.0), 0.0)


class Attention(nn.Module):
    """Multi-head attention of one block.

    Softmax mode has the projections ``to_q``, ``to_k``, ``to_v``; EcoFormer mode has one
    ``to_qk`` shared by queries and keys, ``to_v``, a ``hash`` and an ``offset``.

    Parameters
    ----------
    width : int
        Elements of a token of the network.
    heads : int
        Heads H; D = E = width / heads.
    config : AttentionConfig or None
        EcoFormer mode; softmax mode when None.
    layer : int
        Number of this layer in its network, counted from 0.

    Members
    -------
    hash : KernelHash
        EcoFormer mode only.
    offset : buffer []
        The offset c; EcoFormer mode only.
    core : callable or None
        Replaces the float attention core of EcoFormer mode when set: ``core(layer, x, v) -> o``
        with the layer number, tokens x [B, H, N, D], values v [B, H, N, E] and outputs o
        [B, H, N, E]. So an integer model or a simulation runs inside the network.
    observer : callable or None
        Called as ``observer(layer, x, v)`` before the core, in softmax mode with x = q.
    """

    def __init__(self, width, heads, config=None, layer=0):
        super().__init__()
        if width % heads:
            raise ValueError(f"width must be a multiple of heads = {heads}, not {width}")
        self.heads = heads
        self.config = config
        self.layer = layer
        self.core = None
        self.observer = None
        self.to_v = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        if config is None:
            self.to_q = nn.Linear(width, width)
            self.to_k = nn.Linear(width, width)
        else:
            self.to_qk = nn.Linear(width, width)
            self.hash = KernelHash(heads, width // heads, config.code_bits, config.anchors)
            offset = float(config.offset or config.code_bits + 1)
            self.register_buffer("offset", torch.tensor(offset))

    def forward(self, tokens):
        """Attended tokens [B, N, width] of ``tokens`` [B, N, width]."""
        v = self._split(self.to_v(tokens))
        x = self._split((self.to_q if self.config is None else self.to_qk)(tokens))
        if self.observer is not None:
            self.observer(self.layer, x, v)
        if self.config is None:
            if self.core is not None:
                raise ValueError("core must be None in softmax mode: q and k are not shared")
            o = softmax_attention(x, self._split(self.to_k(tokens)), v)
        elif self.core is not None:
            o = self.core(self.layer, x, v)
        else:
            o = linear_attention(self.hash(x), v, self.offset, self.config.value_term)
        return self.out(o.transpose(1, 2).flatten(2))  # [B, H, N, E] -> [B, N, H·E]

    def _split(self, tokens):
        return tokens.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # [B, H, N, D]


@contextmanager
def observed(layers, observer):
    """Give every one of ``layers`` the ``observer``, and take it away at the end."""
    for layer in layers:
        layer.observer = observer
    try:
        yield
    finally:
        for layer in layers:
            layer.observer = None
