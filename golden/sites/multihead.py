# SPDX-License-Identifier: Apache-2.0
"""What ``torch.nn.MultiheadAttention`` computes around its attention."""

from collections.abc import Callable

import torch
from torch.nn.functional import linear, pad

__all__ = ["multi_head_attention"]

Attend = Callable[..., tuple[torch.Tensor, Callable[[], torch.Tensor]]]


def multi_head_attention(
    attend: Attend,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    embed_dim: int,
    num_heads: int,
    in_proj_weight: torch.Tensor | None,
    in_proj_bias: torch.Tensor | None,
    bias_k: torch.Tensor | None,
    bias_v: torch.Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: torch.Tensor,
    out_proj_bias: torch.Tensor | None,
    training: bool = True,
    key_padding_mask: torch.Tensor | None = None,
    need_weights: bool = True,
    attn_mask: torch.Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: torch.Tensor | None = None,
    k_proj_weight: torch.Tensor | None = None,
    v_proj_weight: torch.Tensor | None = None,
    static_k: torch.Tensor | None = None,
    static_v: torch.Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """``torch.nn.functional.multi_head_attention_forward`` with its attention by ``attend``.

    Parameters
    ----------
    attend : callable
        Takes the arguments of ``scaled_dot_product_attention``, with q, k and v [B, H, N, D], and
        gives the outputs and a function that gives the weights [B, H, M, N].
    query, key, value
        [N, B, E], or [N, E] without a batch.
    """
    is_batched = query.ndim == 3
    if not is_batched:
        query, key, value = (x[:, None] for x in (query, key, value))
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask[None]
    projections = (q_proj_weight, k_proj_weight, v_proj_weight)
    if in_proj_weight is not None:
        projections = in_proj_weight.chunk(3)
    biases = [None] * 3 if in_proj_bias is None else in_proj_bias.chunk(3)
    q, k, v = (linear(x, w, b) for x, w, b in zip((query, key, value), projections, biases))
    mask = _merged(attn_mask, key_padding_mask, num_heads, is_causal)
    if bias_k is not None and bias_v is not None:
        k, v = (torch.cat([x, bias.expand(-1, x.shape[1], -1)]) for x, bias in
                ((k, bias_k), (v, bias_v)))
    q, k, v = (x.unflatten(-1, (num_heads, -1)).permute(1, 2, 0, 3) for x in (q, k, v))
    if static_k is not None:
        k = static_k.unflatten(0, (-1, num_heads))
    if static_v is not None:
        v = static_v.unflatten(0, (-1, num_heads))
    if add_zero_attn:
        k, v = (pad(x, (0, 0, 0, 1)) for x in (k, v))
    if mask is not None:  # what was appended is never hidden
        mask = pad(mask, (0, k.shape[2] - mask.shape[-1]), value=mask.dtype == torch.bool)
    o, weights = attend(
        q, k, v, attn_mask=mask, dropout_p=dropout_p if training else 0.0,
        is_causal=is_causal and mask is None,
    )
    o = linear(o.permute(2, 0, 1, 3).flatten(2), out_proj_weight, out_proj_bias)
    answer = weights() if need_weights else None
    if answer is not None and average_attn_weights:
        answer = answer.mean(1)
    if is_batched:
        return o, answer
    return o[:, 0], None if answer is None else answer[0]


def _merged(attn_mask, key_padding_mask, heads, is_causal):
    """One mask, true where a key is seen or added to the scores, that broadcasts to [B, H, M, N].

    None where ``is_causal`` says all.
    """
    if attn_mask is not None and key_padding_mask is None and is_causal:
        return None
    masks = []
    if attn_mask is not None:
        many = attn_mask.ndim == 3
        masks.append(attn_mask.unflatten(0, (-1, heads)) if many else attn_mask[None, None])
    if key_padding_mask is not None:
        masks.append(key_padding_mask[:, None, None])
    if not masks:
        return None
    if all(mask.dtype == torch.bool for mask in masks):  # true where a key is hidden
        hidden = masks[0] if len(masks) == 1 else masks[0] | masks[1]
        return ~hidden
    kind = next(mask.dtype for mask in masks if mask.dtype != torch.bool)
    return sum(_added(mask, kind) for mask in masks)


def _added(mask, kind):
    """What a mask adds to the scores."""
    if mask.dtype != torch.bool:
        return mask
    return torch.zeros_like(mask, dtype=kind).masked_fill(mask, -torch.inf)
