# SPDX-License-Identifier: Apache-2.0
"""Models of ``transformers`` made to attend by ``scaled_dot_product_attention``.

Their attention interface lets all attention modules of a model call a function of ours, and gives
their masks the form it wants. Models that cannot attend so are left alone.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

__all__ = ["interface_in_use", "use_interface"]

NAME = "ecoformer"
"""Name of this implementation in the interface."""


@contextmanager
def interface_in_use(model: nn.Module) -> Iterator[None]:
    """Meanwhile every model of ``transformers`` within ``model`` calls torch's function."""
    before = [(config, config._attn_implementation) for config in _configs(model)]
    use_interface(model)
    try:
        yield
    finally:
        for config, implementation in before:
            config._attn_implementation_internal = implementation


def use_interface(model: nn.Module) -> None:
    """Let every model of ``transformers`` within ``model`` call torch's function from now on."""
    configs = _configs(model)
    if not configs:
        return
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    def mask(*args, **kwargs):
        # Whether there is padding at all must not be read from a tensor: that would stall a GPU.
        return sdpa_mask(*args, **kwargs | {"allow_is_bidirectional_skip": False})

    AttentionInterface.register(NAME, _attend)
    AttentionMaskInterface.register(NAME, mask)
    for config in configs:
        config._attn_implementation_internal = NAME


def _configs(model):
    """Configurations whose attention modules can call a function of the interface."""
    able = [
        module.config for module in model.modules()
        if getattr(module, "_supports_sdpa", False) and module._can_set_attn_implementation()
    ]
    return list({id(config): config for config in able}.values())


def _attend(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    position_bias: torch.Tensor | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attention function of the interface: (o [B, M, H, E], None)."""
    if is_causal is None:
        is_causal = getattr(module, "is_causal", True)
    if position_bias is not None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout, scaling, is_causal, position_bias
        )
    o = scaled_dot_product_attention(
        query, key, value, attn_mask=attention_mask, dropout_p=dropout, scale=scaling,
        is_causal=is_causal and attention_mask is None and query.shape[2] > 1,
        enable_gqa=key.shape[1] != query.shape[1],
    )
    return o.transpose(1, 2).contiguous(), None
