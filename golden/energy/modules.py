# SPDX-License-Identifier: Apache-2.0
"""Counted layers of a network from its modules: hooks see what one image makes them do.

The network lives on torch's ``meta`` device, which knows shapes and holds no numbers: nothing is
computed, and no weights are needed.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache

import torch
from torch import nn

from ecoformer.golden.attention import EcoFormerAttention, SoftmaxAttention
from ecoformer.golden.energy.shapes import (
    Attention,
    Convolution,
    Elementwise,
    Layer,
    Linear,
    Norm,
)
from ecoformer.golden.networks.pyramid import Residual, make_pyramid
from ecoformer.golden.networks.pyramid_config import PyramidConfig

__all__ = ["layers_of", "pyramid_layers"]

PARTS = (
    (r"\.attn\.core$", "attention"), (r"\.attn\.", "projections"), (r"\.mlp\.", "MLP"),
    ("", "other"),
)
"""What a module belongs to, by the first pattern that its name matches."""


@cache
def pyramid_layers(config: PyramidConfig, side: int) -> tuple[Layer, ...]:
    """Counted layers of a pyramid on one image of ``side`` × ``side`` pixels, in the order of use.

    Raises
    ------
    ValueError
        The image is too small for every stage to have tokens.
    """
    with torch.device("meta"):
        model = make_pyramid(config).eval()
        image = torch.empty(1, config.channels, side, side)
    try:
        return tuple(layers_of(model, image))
    except RuntimeError as error:  # of a convolution whose kernel is larger than its input
        raise ValueError(f"image_size must leave tokens for every stage, not be {side}") from error


@torch.no_grad()
def layers_of(model: nn.Module, image: torch.Tensor) -> list[Layer]:
    """Counted layers of ``model`` while it runs on ``image`` [1, …], in the order of use.

    Matrices that are given the very same tensor are one layer, because they read it once.

    Parameters
    ----------
    model : Module
        On the device of ``image``, which may be ``meta``.
    """
    seen: list[Layer] = []
    last: list[torch.Tensor] = []  # what the latest matrix was given

    def hook(name):
        part = next(part for pattern, part in PARTS if re.search(pattern, name))

        def observe(module, inputs, output):
            count = OBSERVERS[type(module)]
            layer = count(name, part, module, inputs, output)
            same = isinstance(layer, Linear) and last and last[0] is inputs[0]
            if same and isinstance(seen[-1], Linear):
                before = seen.pop()
                layer = replace(
                    layer, name=f"{before.name}+{name.rpartition('.')[2]}",
                    outputs=before.outputs + layer.outputs,
                )
            last[:] = inputs[:1]
            seen.append(layer)

        return observe

    hooks = []
    ecoformer = []
    for name, module in model.named_modules():
        if type(module) in OBSERVERS:
            hooks.append(module.register_forward_hook(hook(name)))
        if isinstance(module, EcoFormerAttention):  # its hash branches on numbers
            ecoformer.append((module, module.override))
            module.override = lambda layer, q, k, v, key_mask: v
    try:
        model(image)
    finally:
        for handle in hooks:
            handle.remove()
        for module, override in ecoformer:
            module.override = override
    return seen


def _convolution(name, part, module, inputs, output):
    return Convolution(
        name=name, part=part, tokens=output[0, 0].numel(), inputs=module.in_channels,
        outputs=module.out_channels, kernel=module.kernel_size[0], stride=module.stride[0],
        groups=module.groups,
    )


def _linear(name, part, module, inputs, output):
    return Linear(
        name=name, part=part, tokens=output[..., 0].numel(), inputs=module.in_features,
        outputs=module.out_features,
    )


def _norm(name, part, module, inputs, output):
    return Norm(name=name, part=part, tokens=output[..., 0].numel(), width=output.shape[-1])


def _elementwise(what):
    def count(name, part, module, inputs, output):
        return Elementwise(
            name=name, part=part, tokens=output[..., 0].numel(), width=output.shape[-1], what=what
        )

    return count


def _attention(kind):
    def count(name, part, module, inputs, output):
        q, k, v = inputs[:3]
        if k.shape[2] != q.shape[2]:
            raise ValueError(f"{name} must have as many keys as queries to be counted")
        return Attention(  # a window counts as heads of its own
            name=name, part=part, tokens=q.shape[2], heads=q.shape[0] * q.shape[1],
            head_dim=q.shape[3], value_dim=v.shape[3], kind=kind,
        )

    return count


OBSERVERS = {
    nn.Conv2d: _convolution, nn.Linear: _linear, nn.LayerNorm: _norm,
    nn.GELU: _elementwise("activation"), Residual: _elementwise("residual"),
    SoftmaxAttention: _attention("softmax"), EcoFormerAttention: _attention("ecoformer"),
}
"""Makes the counted layer of a module's call, by the module's class; others count nothing."""
