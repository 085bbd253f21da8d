# SPDX-License-Identifier: Apache-2.0
"""Pre-norm transformer blocks, and what all networks of nothing but these blocks share."""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import nn

from ecoformer.golden.attention import Attention, EcoFormerAttention, SoftmaxAttention, cores_of
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.networks.drop_path import DropPath
from ecoformer.golden.sites.placing import fill_sites
from ecoformer.golden.sites.site import Site
from ecoformer.golden.stand_ins import LimitAttention

__all__ = ["Block", "BlockShape", "Blocks", "PatchConvolution"]


class BlockShape(Protocol):
    """What a block must know of its network."""

    @property
    def width(self) -> int:
        """Elements of a token."""

    @property
    def heads(self) -> int:
        """Attention heads."""

    @property
    def mlp_ratio(self) -> int:
        """Hidden width of the MLP over ``width``."""

    @property
    def mlp_convolution(self) -> bool:
        """Whether a convolution follows the first layer of the MLP."""


class Block(nn.Module):
    """Pre-norm transformer block: ``x + attention(norm(x))``, then ``x + mlp(norm(x))``."""

    def __init__(self, config: BlockShape, layer: int):
        super().__init__()
        hidden = config.width * config.mlp_ratio
        between = [PatchConvolution(hidden)] if config.mlp_convolution else []
        self.norm1 = nn.LayerNorm(config.width)
        self.attention = Attention(config.width, config.heads, layer)
        self.drop1 = DropPath()
        self.norm2 = nn.LayerNorm(config.width)
        self.mlp = nn.Sequential(
            nn.Linear(config.width, hidden), *between, nn.GELU(), nn.Linear(hidden, config.width)
        )
        self.drop2 = DropPath()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.drop1(self.attention(self.norm1(x)))
        return x + self.drop2(self.mlp(self.norm2(x)))


class PatchConvolution(nn.Module):
    """A 3 × 3 depth-wise convolution over patches [B, N, width] of a square image.

    Source: PVTv2, arXiv 2106.13797, §3.3.
    """

    def __init__(self, width: int):
        super().__init__()
        self.convolution = nn.Conv2d(width, width, 3, padding=1, groups=width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        side = round(tokens.shape[1] ** 0.5)
        image = tokens.transpose(1, 2).unflatten(2, (side, side))  # channels last, without a copy
        return self.convolution(image).flatten(2).transpose(1, 2)


class Blocks(nn.Module):
    """A network that attends in each of its ``blocks`` and nowhere else.

    Members
    -------
    config : NetworkConfig or DecoderConfig
        Shape of the network.
    blocks : Sequential of Block
    """

    config: Any
    blocks: nn.Sequential
    mask_kind = "full"
    """What a token attends to, a key of :data:`golden.masks.MASKS`."""

    @property
    def attention_config(self) -> AttentionConfig | None:
        """Shape of the EcoFormer attention; None while attention is softmax."""
        cores = cores_of(self)
        return cores[0].config if cores else None

    def replace_attention(self, attention: AttentionConfig) -> None:
        """Put EcoFormer attention with random hashes in place of the softmax in every block.

        With shared queries ``to_qk`` starts as ``to_q``; every other weight stays. They are shared
        already after :meth:`limit_attention`.
        """
        if self.attention_config is not None:
            raise ValueError("model must have softmax attention, not EcoFormer attention")
        if attention.shares_queries:
            for block in self.blocks:
                block.attention.share_queries()
        fill_sites(self, self.sites, attention)

    def limit_attention(self, attention: AttentionConfig) -> None:
        """Share queries and attend with what ``attention`` becomes with ever more bits."""
        for block in self.blocks:
            block.attention.share_queries()
        self.attend_with(lambda heads, layer: LimitAttention(heads, attention, layer))

    def attend_with(self, make: Callable[[int, int], SoftmaxAttention]) -> None:
        """Let every block attend with ``make(heads, layer)``; no projection changes."""
        for layer, block in enumerate(self.blocks):
            block.attention.core = make(self.config.heads, layer)

    @property
    def sites(self) -> list[Site]:
        """Where this network attends, first block first."""
        heads, head_dim = self.config.heads, self.config.head_dim
        return [
            Site(path=f"blocks.{layer}.attention.core", heads=heads, head_dim=head_dim,
                 mask=self.mask_kind)
            for layer in range(self.config.depth)
        ]

    def attention_layers(self) -> list[SoftmaxAttention | EcoFormerAttention]:
        """The attention between the projections of every block, first block first."""
        return [block.attention.core for block in self.blocks]
