# SPDX-License-Identifier: Apache-2.0
"""The networks that EcoFormer was published with: PVTv2 and Twins-SVT.

Every parameter has the name that it has in the public PVTv2 and Twins code, so their state dicts
load as they are; the hashes of EcoFormer attention are our own (:mod:`golden.networks.released`
reads and writes theirs). Dropout, which is 0 in their recipes, is left out.
"""

from math import sqrt

import torch
from torch import nn

from ecoformer.golden.attention import EcoFormerAttention, cores_of
from ecoformer.golden.attention_config import RELEASED, AttentionConfig
from ecoformer.golden.networks.drop_path import DropPath
from ecoformer.golden.networks.pyramid_config import PyramidConfig
from ecoformer.golden.networks.stage_attention import Grid, make_attention

__all__ = ["Block", "PatchEmbedding", "PvtV2", "Pyramid", "Residual", "TwinsSvt", "make_pyramid"]

IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the colours of public training images, by which public weights expect pixels normalised."""


class Residual(nn.Module):
    """The sum of a branch and what it branched from; a module, so that hooks can count it."""

    def __init__(self) -> None:
        super().__init__()
        self.drop = DropPath()

    def forward(self, x: torch.Tensor, branch: torch.Tensor) -> torch.Tensor:
        """x + branch."""
        return x + self.drop(branch)


class PatchEmbedding(nn.Module):
    """Patches to tokens: ``proj``, ``norm``.

    Parameters
    ----------
    inputs, width : int
        Channels of the image, and elements of a token.
    side, stride : int
        Of a patch. Where the side is above the stride, patches overlap and the image is padded.
    eps : float
        Of ``norm``.
    """

    def __init__(self, inputs: int, width: int, side: int, stride: int, eps: float):
        super().__init__()
        padding = side // 2 if side > stride else 0
        self.proj = nn.Conv2d(inputs, width, side, stride, padding)
        self.norm = nn.LayerNorm(width, eps)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, Grid]:
        """Tokens [B, N, width] of ``image`` [B, channels, height, width], and their grid."""
        patches = self.proj(image)
        rows, columns = patches.shape[2:]
        return self.norm(patches.flatten(2).transpose(1, 2)), (rows, columns)


class TokenConvolution(nn.Module):
    """A 3 × 3 depthwise convolution over the tokens of an image: ``dwconv``."""

    def __init__(self, width: int):
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 3, padding=1, groups=width)

    def forward(self, x: torch.Tensor, grid: Grid) -> torch.Tensor:
        """Tokens [B, N, width]."""
        return self.dwconv(x.transpose(1, 2).unflatten(2, grid)).flatten(2).transpose(1, 2)


class Mlp(nn.Module):
    """``fc1``, GELU, ``fc2``."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: torch.Tensor, grid: Grid) -> torch.Tensor:
        """Tokens [B, N, width]."""
        return self.fc2(self.act(self.fc1(x)))


class ConvolutionalMlp(Mlp):
    """``fc1``, ``dwconv``, GELU, ``fc2``. Source: PVTv2, arXiv 2106.13797, §3.3."""

    def __init__(self, width: int, hidden: int):
        super().__init__(width, hidden)
        self.dwconv = TokenConvolution(hidden)

    def forward(self, x: torch.Tensor, grid: Grid) -> torch.Tensor:
        """Tokens [B, N, width]."""
        return self.fc2(self.act(self.dwconv(self.fc1(x), grid)))


class PositionConvolution(nn.Module):
    """Positions by a 3 × 3 depthwise convolution, added to the tokens: ``proj.0``.

    Source: CPVT, arXiv 2102.10882, §3.3. Its sum with the tokens is no layer of its own, because
    it can be a 1 added to the middle of every kernel.
    """

    def __init__(self, width: int):
        super().__init__()
        self.proj = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, groups=width))

    def forward(self, x: torch.Tensor, grid: Grid) -> torch.Tensor:
        """Tokens [B, N, width]."""
        image = x.transpose(1, 2).unflatten(2, grid)
        return (self.proj(image) + image).flatten(2).transpose(1, 2)


class Block(nn.Module):
    """Pre-norm transformer block: ``norm1``, ``attn``, ``norm2``, ``mlp``."""

    def __init__(self, width: int, attention: nn.Module, mlp: nn.Module, eps: float):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps)
        self.attn = attention
        self.add1 = Residual()
        self.norm2 = nn.LayerNorm(width, eps)
        self.mlp = mlp
        self.add2 = Residual()

    def forward(self, x: torch.Tensor, grid: Grid) -> torch.Tensor:
        """Tokens [B, N, width]."""
        x = self.add1(x, self.attn(self.norm1(x), grid))
        return self.add2(x, self.mlp(self.norm2(x), grid))


class Pyramid(nn.Module):
    """Four stages of patches and blocks, mean over tokens, classifier.

    Parameters
    ----------
    config : PyramidConfig
    ecoformer : AttentionConfig
        Shape of the attention where a stage has ``ecoformer``; queries must be shared.
    """

    def __init__(self, config: PyramidConfig, ecoformer: AttentionConfig = RELEASED):
        super().__init__()
        if not ecoformer.shares_queries:
            raise ValueError("queries must be 'shared' in this network, not 'separate'")
        self.config = config
        self.ecoformer = ecoformer

    @property
    def cores(self) -> list[EcoFormerAttention]:
        """The EcoFormer attention of every block that has it, first block first."""
        return cores_of(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [B, classes] of float ``images`` [B, channels, height, width], normalised."""
        raise NotImplementedError

    @staticmethod
    def pixels(images: torch.Tensor) -> torch.Tensor:
        """Float images, normalised as public weights expect, of uint8 ``images`` [B, 3, …].

        Pixels of other than three colours become -1…1.
        """
        if images.shape[1] != len(IMAGENET_MEAN):
            return images / 127.5 - 1
        mean, deviation = (
            torch.tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_DEVIATION)
        )
        return (images / 255 - mean) / deviation

    def stages(self) -> list[nn.ModuleList]:
        """The blocks of every stage."""
        raise NotImplementedError

    def _blocks(self, stage, mlp):
        c = self.config
        width, before = c.widths[stage], sum(c.depths[:stage])
        return nn.ModuleList(
            Block(
                width, make_attention(c, self.ecoformer, stage, block, before + block),
                mlp(width, c.mlp_ratios[stage] * width), c.norm_eps,
            )
            for block in range(c.depths[stage])
        )


class PvtV2(Pyramid):
    """PVTv2: ``patch_embed{1…4}``, ``block{1…4}``, ``norm{1…4}``, ``head``."""

    def __init__(self, config: PyramidConfig, ecoformer: AttentionConfig = RELEASED):
        super().__init__(config, ecoformer)
        inputs = (config.channels, *config.widths)
        for stage, width in enumerate(config.widths):
            side, stride = (3, 2) if stage else (7, 4)
            patches = PatchEmbedding(inputs[stage], width, side, stride, config.inner_norm_eps)
            self.add_module(f"patch_embed{stage + 1}", patches)
            self.add_module(f"block{stage + 1}", self._blocks(stage, ConvolutionalMlp))
            self.add_module(f"norm{stage + 1}", nn.LayerNorm(width, config.norm_eps))
        self.head = nn.Linear(config.widths[-1], config.classes)
        self.apply(_initialise)

    def stages(self) -> list[nn.ModuleList]:
        """The blocks of every stage."""
        return [self.get_submodule(f"block{stage}") for stage in (1, 2, 3, 4)]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [B, classes] of float ``images`` [B, channels, height, width], normalised."""
        for number, blocks in enumerate(self.stages(), 1):
            x, grid = self.get_submodule(f"patch_embed{number}")(images)
            for block in blocks:
                x = block(x, grid)
            x = self.get_submodule(f"norm{number}")(x)
            images = x.transpose(1, 2).unflatten(2, grid)
        return self.head(x.mean(1))


class TwinsSvt(Pyramid):
    """Twins-SVT: ``patch_embeds``, ``blocks``, ``pos_block``, ``norm``, ``head``.

    Source: Twins, arXiv 2104.13840, §3.2; EcoFormer in it as released: in *every* block of a stage,
    among all tokens, without windows.
    """

    def __init__(self, config: PyramidConfig, ecoformer: AttentionConfig = RELEASED):
        super().__init__(config, ecoformer)
        inputs = (config.channels, *config.widths)
        self.patch_embeds = nn.ModuleList(
            PatchEmbedding(inputs[stage], width, side, side, config.inner_norm_eps)
            for stage, (width, side) in enumerate(zip(config.widths, (4, 2, 2, 2)))
        )
        self.blocks = nn.ModuleList(self._blocks(stage, Mlp) for stage in range(4))
        self.pos_block = nn.ModuleList(map(PositionConvolution, config.widths))
        self.norm = nn.LayerNorm(config.widths[-1], config.norm_eps)
        self.head = nn.Linear(config.widths[-1], config.classes)
        self.apply(_initialise)

    def stages(self) -> list[nn.ModuleList]:
        """The blocks of every stage."""
        return list(self.blocks)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [B, classes] of float ``images`` [B, channels, height, width], normalised."""
        for embed, blocks, position in zip(self.patch_embeds, self.blocks, self.pos_block):
            x, grid = embed(images)
            first, *others = blocks
            x = position(first(x, grid), grid)
            for block in others:
                x = block(x, grid)
            images = x.transpose(1, 2).unflatten(2, grid)
        return self.head(self.norm(x).mean(1))


def make_pyramid(config: PyramidConfig, ecoformer: AttentionConfig = RELEASED) -> Pyramid:
    """The network of ``config`` with random weights."""
    return {"pvt_v2": PvtV2, "twins_svt": TwinsSvt}[config.family](config, ecoformer)


def _initialise(module):
    """Weights as both papers start from: σ = 0.02 for matrices, √(2 / fan-out) for kernels."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        fan_out = module.weight[0, 0].numel() * module.out_channels // module.groups
        nn.init.normal_(module.weight, std=sqrt(2 / fan_out))
        nn.init.zeros_(module.bias)
