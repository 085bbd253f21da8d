# SPDX-License-Identifier: Apache-2.0
"""Modules that hold EcoFormer attention where another module attended."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.functional import linear

from ecoformer.errors import EcoformerError
from ecoformer.golden.attention import EcoFormerAttention

__all__ = ["ATTRIBUTE", "CoreSequence", "EcoFormerMultihead", "count_uses"]

ATTRIBUTE = "ecoformer"
"""Attribute under which a module holds its EcoFormer attention."""


class CoreSequence(nn.ModuleList):
    """EcoFormer attention of a module that attends several times per pass, one after the other.

    Parameters
    ----------
    cores : list of EcoFormerAttention
    """

    def __init__(self, cores: Sequence[EcoFormerAttention]):
        super().__init__(cores)
        self.next = 0

    def forward(self, *arguments: torch.Tensor | None) -> torch.Tensor:
        """Output of the core whose use is next."""
        core = self[self.next]
        self.next = (self.next + 1) % len(self)
        return core(*arguments)


def count_uses(model: nn.Module) -> None:
    """Check in every pass of ``model`` that its modules attend as often as they have cores."""
    model.register_forward_pre_hook(_begin_pass)
    model.register_forward_hook(_end_pass)


def _begin_pass(model, args):
    """Start from the first use, even if the previous pass was interrupted."""
    for sequence in _sequences(model):
        sequence.next = 0


def _end_pass(model, args, output):
    if any(sequence.next for sequence in _sequences(model)):
        raise EcoformerError(
            f"{type(model).__name__}: a module did not attend as often as during conversion; its "
            "hashes cannot be told apart"
        )


def _sequences(model):
    return [module for module in model.modules() if isinstance(module, CoreSequence)]


class EcoFormerMultihead(nn.Module):
    """Replaces ``torch.nn.MultiheadAttention``, with the same projections and parameter names.

    Parameters
    ----------
    replaced : torch.nn.MultiheadAttention
        Its parameters are taken over, not copied.
    core : EcoFormerAttention or CoreSequence
    """

    _qkv_same_embed_dim = False  # keeps TransformerEncoderLayer from its fused softmax kernel

    def __init__(self, replaced: nn.MultiheadAttention, core: nn.Module):
        super().__init__()
        self.num_heads = replaced.num_heads
        self.batch_first = replaced.batch_first
        self.in_proj_weight = replaced.in_proj_weight
        self.in_proj_bias = replaced.in_proj_bias
        self.out_proj = replaced.out_proj
        setattr(self, ATTRIBUTE, core)

    def forward(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        key_padding_mask: torch.Tensor | None = None,
        need_weights: bool = False,
        attn_mask: torch.Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[torch.Tensor, None]:
        """(output, None), shapes as in ``torch.nn.MultiheadAttention``."""
        if attn_mask is not None or is_causal:
            raise ValueError("attn_mask must be None: EcoFormer attention takes padding only")
        if not self.batch_first:
            query, key, value = (x.transpose(0, 1) for x in (query, key, value))
        weights = self.in_proj_weight.chunk(3)
        biases = 3 * [None] if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        q, k, v = (
            linear(x, w, b).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for x, w, b in zip((query, key, value), weights, biases)
        )
        key_mask = None
        if key_padding_mask is not None:  # true where padded, or 0 and -inf
            boolean = key_padding_mask.dtype == torch.bool
            key_mask = ~key_padding_mask if boolean else key_padding_mask == 0
        o = self.out_proj(getattr(self, ATTRIBUTE)(q, k, v, key_mask).transpose(1, 2).flatten(2))
        return (o if self.batch_first else o.transpose(0, 1)), None
