# SPDX-License-Identifier: Apache-2.0
"""A pyramid as training wants a network: bytes of images in, and attention that is replaced."""

from collections.abc import Callable

import torch
from torch import nn

from ecoformer.golden.attention import EcoFormerAttention, SoftmaxAttention
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.networks.pyramid import Pyramid, make_pyramid
from ecoformer.golden.networks.pyramid_config import PyramidConfig
from ecoformer.golden.networks.pyramid_swap import swap_attention
from ecoformer.golden.stand_ins import LimitAttention

__all__ = ["ImagePyramid", "make_image_pyramid"]


class ImagePyramid(nn.Module):
    """A pyramid whose attention is softmax, or EcoFormer where its configuration says so.

    Members are those of :class:`golden.networks.vit.VisionTransformer`, as far as training,
    quantisation and evaluation use them.

    Parameters
    ----------
    pyramid : Pyramid
    config : PyramidConfig or None
        How its stages attend in the end; as they do now when None.
    """

    def __init__(self, pyramid: Pyramid, config: PyramidConfig | None = None):
        super().__init__()
        self.config = config or pyramid.config
        self.pyramid = pyramid

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [B, classes] of uint8 ``images`` [B, channels, image_size, image_size]."""
        return self.pyramid(self.pyramid.pixels(images))

    @property
    def attention_config(self) -> AttentionConfig | None:
        """Shape of the EcoFormer attention; None while attention is softmax."""
        return self.pyramid.ecoformer if self.pyramid.cores else None

    def replace_attention(self, attention: AttentionConfig) -> None:
        """Put EcoFormer attention with random hashes where the configuration wants it."""
        if self.attention_config is not None:
            raise ValueError("model must have softmax attention, not EcoFormer attention")
        self.pyramid = swap_attention(self.pyramid, self.config.attention, attention)

    def limit_attention(self, attention: AttentionConfig) -> None:
        """Share queries there and attend with what ``attention`` becomes with ever more bits."""
        shared = tuple(
            "softmax-shared" if kind == "ecoformer" else kind for kind in self.config.attention
        )
        self.pyramid = swap_attention(self.pyramid, shared, attention)
        self.attend_with(lambda heads, layer: LimitAttention(heads, attention, layer))

    def attend_with(self, make: Callable[[int, int], SoftmaxAttention]) -> None:
        """Let every block of those stages attend with ``make(heads, layer)``."""
        for block in self._blocks():
            block.attn.core = make(block.attn.core.heads, block.attn.core.layer)

    def attention_layers(self) -> list[SoftmaxAttention | EcoFormerAttention]:
        """The attention between the projections of every block of those stages."""
        return [block.attn.core for block in self._blocks()]

    def _blocks(self):
        stages = zip(self.config.attention, self.pyramid.stages(), strict=True)
        return [block for kind, blocks in stages if kind == "ecoformer" for block in blocks]


def make_image_pyramid(config: PyramidConfig) -> ImagePyramid:
    """The network of ``config`` before its attention is replaced, with random weights."""
    return ImagePyramid(make_pyramid(config.softmax_form), config)
