# SPDX-License-Identifier: Apache-2.0
"""EcoFormer attention behind the attention interface of ``transformers``."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from ecoformer.errors import EcoformerError
from ecoformer.golden.attention import softmax_attention
from ecoformer.golden.networks.wrappers import ATTRIBUTE

__all__ = ["interface_observed", "use_interface"]

NAME = "ecoformer"
"""Name of this implementation in the interface."""

_observer: Callable[..., None] | None = None
"""Called for every attention module while sites are being looked for."""


@contextmanager
def interface_observed(model: nn.Module, observer: Callable[..., None]) -> Iterator[None]:
    """Call ``observer(module, "interface", heads, head_dim, scale)`` whenever ``model`` attends.

    Models without the interface are left alone.
    """
    global _observer
    if not hasattr(model, "set_attn_implementation"):
        yield
        return
    before = model.config._attn_implementation
    use_interface(model)
    _observer = observer
    try:
        yield
    finally:
        _observer = None
        model.set_attn_implementation(before)


def use_interface(model: nn.Module) -> None:
    """Let every attention module of ``model`` attend with its ``ecoformer`` attribute."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    def padding_mask(*args, **kwargs):
        # Whether there is padding at all must not be read from a tensor: that would stall a GPU.
        return sdpa_mask(*args, **kwargs | {"allow_is_bidirectional_skip": False})

    AttentionInterface.register(NAME, _attend)
    AttentionMaskInterface.register(NAME, padding_mask)
    model.set_attn_implementation(NAME)


def _attend(module, query, key, value, attention_mask, scaling=None, **kwargs):
    """Attention function of the interface: (o [B, M, H, E], None)."""
    key_mask = _key_mask(module, query, key, attention_mask, kwargs)
    core = getattr(module, ATTRIBUTE, None)
    if core is not None:
        o = core(query, key, value, key_mask)
    elif _observer is not None:
        _observer(module, "interface", query.shape[1], query.shape[-1], scaling)
        o = softmax_attention(query, key, value, key_mask, scaling)
    else:
        raise EcoformerError(
            f"{type(module).__name__}: it did not attend during conversion; give calibration data "
            "that uses it"
        )
    return o.transpose(1, 2).contiguous(), None


def _key_mask(module, query, key, mask, options):
    """Mask of the keys that are not padding, or None; refuses more than padded softmax."""
    what = None
    if getattr(module, "is_causal", False) or options.get("is_causal"):
        what = "causal attention"
    elif key.shape[1] != query.shape[1]:
        what = "fewer key heads than query heads"
    elif any(options.get(name) is not None for name in ("position_bias", "softcap", "s_aux")):
        what = "a bias of positions or a bounded logit"
    elif options.get("sliding_window") is not None:
        what = "a sliding window"
    elif mask is not None and not _is_padding(mask):
        what = "a mask other than padding"
    if what is not None:
        raise EcoformerError(f"{type(module).__name__}: {what} cannot be replaced")
    return None if mask is None else mask[:, 0, 0]


def _is_padding(mask):
    """Whether every query of a sequence has the same keys."""
    if mask.is_cuda and torch.cuda.is_current_stream_capturing():
        return True  # checked before; a captured operation has no result yet
    return mask.dtype == torch.bool and not (mask != mask[:, :1, :1]).any()
