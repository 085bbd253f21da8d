# SPDX-License-Identifier: Apache-2.0
"""The forward pass of a float network with every tensor on the way, as the integer model names it.

What quantisation is calibrated on, and what integers are compared with.
"""

from collections.abc import Iterator
from typing import Any

import torch

from ecoformer.golden.networks.decoder import Decoder
from ecoformer.golden.networks.vit import VisionTransformer

__all__ = ["decoder_trace", "float_trace", "vectors"]


@torch.no_grad()
def float_trace(
    model: VisionTransformer, images: torch.Tensor
) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor [B, N, …] by the names of :func:`golden.integer.network.forward.trace`.

    Parameters
    ----------
    model : VisionTransformer
        With stem ``patches`` and without convolutions in the MLP.
    images : uint8 Tensor [B, channels, S, S]
    """
    pixels = images.to(model.position.dtype) / 127.5 - 1
    x = model.to_tokens(pixels).flatten(2).transpose(1, 2) + model.position
    yield "stem", x
    y = x
    for name, y in _blocks(model, x):
        yield name, y
    x = model.norm(y)
    yield "norm", x
    pooled = x.sum(1)
    yield "pooled", pooled
    yield "scores", model.classifier(pooled / x.shape[1])


@torch.no_grad()
def decoder_trace(model: Decoder, tokens: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor [B, N, …] by the names of :func:`golden.integer.network.decoder.trace`.

    Parameters
    ----------
    model : Decoder
    tokens : int64 Tensor [B, N]
    """
    x = model.embedding[tokens] + model.position[: tokens.shape[1]]
    yield "embedding", x
    y = x
    for name, y in _blocks(model, x):
        yield name, y
    yield "norm", (y := model.norm(y))
    yield "scores", model.classifier(y)


def _blocks(model, x):
    for number, block in enumerate(model.blocks):
        for part, tensor in _block(block, x):
            yield f"blocks.{number}.{part}", tensor
        x = tensor


def _block(block, x):
    attention: Any = block.attention
    yield "norm1", (y := block.norm1(x))
    heads = [part.unflatten(-1, (attention.heads, -1)).transpose(1, 2) for part in (
        layer(y) for layer in vectors(attention)
    )]
    yield "vectors", torch.cat(heads, -1).transpose(1, 2).flatten(2)
    o = attention.core(heads[0], heads[-2], heads[-1])
    yield "attention", (y := o.transpose(1, 2).flatten(2))
    yield "out", (y := attention.out(y))
    yield "residual1", (x := x + y)
    yield "norm2", (y := block.norm2(x))
    up, activation, down = block.mlp
    yield "up", (y := up(y))
    yield "activation", (y := activation(y))
    yield "down", (y := down(y))
    yield "residual2", x + y


def vectors(attention: Any) -> list[torch.nn.Linear]:
    """The projections of a token in the order of the vectors of a head: x and v, or q, k and v."""
    if attention.shared:
        return [attention.to_qk, attention.to_v]
    return [attention.to_q, attention.to_k, attention.to_v]
