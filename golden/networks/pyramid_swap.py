# SPDX-License-Identifier: Apache-2.0
"""From one attention to another: the same network, with the weights that both have in common."""

import torch

from ecoformer.golden.attention_config import RELEASED, AttentionConfig
from ecoformer.golden.networks.pyramid import Pyramid, make_pyramid

__all__ = ["swap_attention"]


@torch.no_grad()
def swap_attention(
    model: Pyramid, attention: tuple[str, ...], ecoformer: AttentionConfig = RELEASED
) -> Pyramid:
    """A copy of ``model`` that attends otherwise, as the released code starts a fine-tuning.

    A shared projection starts as that of the queries; hashes start at random; where the new
    attention has no counterpart of a weight (``sr``, ``norm``), it starts at random, too.

    Parameters
    ----------
    model : Pyramid
    attention : tuple of 4 str
        Of each stage; the values of :data:`ecoformer.golden.networks.pyramid_config.ATTENTIONS`.
    ecoformer : AttentionConfig
        Shape of ``ecoformer`` attention.
    """
    swapped = make_pyramid(model.config.attending(attention), ecoformer)
    state = swapped.state_dict()
    given = model.state_dict()
    given |= _projections(given)
    for name, tensor in state.items():
        if name in given and given[name].shape == tensor.shape:
            tensor.copy_(given[name])
    return swapped.train(model.training)


def _projections(state):
    """Every projection to q, k and v in ``state`` under all of its names."""
    found = {}
    for name, tensor in state.items():
        prefix, _, rest = name.partition(".attn.")
        projection, _, kind = rest.partition(".")
        if projection == "qkv":
            q, k, v = tensor.chunk(3)
        elif projection == "q":
            q = tensor
            k, v = state[f"{prefix}.attn.kv.{kind}"].chunk(2)
        elif projection == "to_qk":
            q = k = tensor
            v = state[f"{prefix}.attn.to_v.{kind}"]
        else:
            continue
        found |= {
            f"{prefix}.attn.{target}.{kind}": torch.cat(parts)
            for target, parts in (
                ("qkv", (q, k, v)), ("q", (q,)), ("kv", (k, v)), ("to_qk", (q,)), ("to_v", (v,)),
            )
        }
    return found
