# SPDX-License-Identifier: Apache-2.0
"""A small vision transformer whose attention is softmax or EcoFormer, and its file."""

from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Self

import torch
from torch import nn

from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.networks.blocks import Block, Blocks
from ecoformer.golden.networks.model_file import (
    DEEPEST,
    LARGEST,
    MOST_WEIGHTS,
    read_model,
    write_model,
)
from ecoformer.spec.checks import check_choice, check_number

__all__ = ["NetworkConfig", "STEMS", "VisionTransformer", "load_model", "save_model"]

STEMS = ("patches", "convolutions")
"""How an image becomes tokens."""


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Shape of a vision transformer.

    Parameters
    ----------
    image_size : int
        Pixels along one side of a square image.
    channels : int
        Colours of a pixel.
    patch : int
        Pixels along one side of a patch; (image_size / patch)² tokens.
    stem : str
        ``patches``: one convolution over overlapping patches, kernel 2p - 1, as in PVTv2;
        ``convolutions``: 3 × 3 of stride 2, as often as it takes to divide by ``patch`` (Xiao et
        al., arXiv 2106.14881, §4).
    width : int
        Elements of a token.
    heads : int
        Attention heads; head dimension width / heads.
    depth : int
        Blocks.
    mlp_ratio : int
        Hidden width of the MLP over ``width``.
    mlp_convolution : bool
        Whether a 3 × 3 depth-wise convolution over the patches follows the first layer of the MLP,
        as in PVTv2.
    classes : int
        Labels.

    Raises
    ------
    TypeError, ValueError
        A value of the wrong type, outside its range, or one that does not divide.
    """

    image_size: int = 28
    channels: int = 1
    patch: int = 4
    stem: str = "patches"
    width: int = 64
    heads: int = 2
    depth: int = 4
    mlp_ratio: int = 2
    mlp_convolution: bool = False
    classes: int = 10

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if name not in ("stem", "mlp_convolution"):
                check_number(name, value, int, 1, DEEPEST if name == "depth" else LARGEST)
        if not isinstance(self.mlp_convolution, bool):
            raise TypeError(f"mlp_convolution must be true or false, not {self.mlp_convolution!r}")
        check_choice("stem", self.stem, STEMS)
        if self.stem == "convolutions" and (self.patch < 2 or self.patch.bit_count() != 1):
            raise ValueError(
                f"patch must be 2, 4, 8, … with stem = 'convolutions', not {self.patch}"
            )
        if self.image_size % self.patch:
            raise ValueError(
                f"patch must divide image_size = {self.image_size}, not be {self.patch}"
            )
        if self.width % self.heads:
            raise ValueError(f"heads must divide width = {self.width}, not be {self.heads}")
        if self.weights > MOST_WEIGHTS:
            raise ValueError(
                f"width, depth and the other sizes must make at most {MOST_WEIGHTS:,} weights, "
                f"not {self.weights:,}"
            )

    @property
    def weights(self) -> int:
        """Weights of all matrices and kernels; biases and norms are left out."""
        hidden = self.width * self.mlp_ratio
        block = 4 * self.width**2 + 2 * self.width * hidden + 9 * hidden * self.mlp_convolution
        kernel = (2 * self.patch - 1) ** 2 if self.stem == "patches" else 9
        stem = sum(kernel * a * b for a, b in pairwise((self.channels, *self.stem_widths)))
        return stem + self.width * (self.tokens + self.classes) + self.depth * block

    @property
    def softmax_form(self) -> Self:
        """The same network with softmax in the place of EcoFormer attention: the shape is one."""
        return self

    @property
    def tokens(self) -> int:
        """Tokens N of an image."""
        return (self.image_size // self.patch) ** 2

    @property
    def head_dim(self) -> int:
        """Elements D = E of a token in one head."""
        return self.width // self.heads

    @property
    def stem_widths(self) -> list[int]:
        """Channels behind each convolution of the stem, the tokens' width last."""
        if self.stem == "patches":
            return [self.width]
        # Twice as wide with every halving of the image.
        return [-(-self.width >> left) for left in reversed(range(self.patch.bit_length() - 1))]


class VisionTransformer(Blocks):
    """Patches, learned positions, blocks, mean over tokens, classifier.

    Parameters
    ----------
    config : NetworkConfig
        Shape of the network.
    attention : AttentionConfig or None
        EcoFormer attention in every block; softmax when None.
    """

    def __init__(self, config: NetworkConfig, attention: AttentionConfig | None = None):
        super().__init__()
        self.config = config
        self.to_tokens = _stem(config)
        self.position = nn.Parameter(0.02 * torch.randn(config.tokens, config.width))
        self.blocks = nn.Sequential(*(Block(config, i) for i in range(config.depth)))
        self.norm = nn.LayerNorm(config.width)
        self.classifier = nn.Linear(config.width, config.classes)
        if attention is not None:
            self.replace_attention(attention)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [B, classes] of uint8 ``images`` [B, channels, image_size, image_size]."""
        pixels = images.to(self.position.dtype) / 127.5 - 1
        x = self.to_tokens(pixels).flatten(2).transpose(1, 2) + self.position  # [B, N, width]
        return self.classifier(self.norm(self.blocks(x)).mean(1))


def _stem(config):
    """From images to tokens [B, width, side, side]."""
    p = config.patch
    if config.stem == "patches":
        return nn.Conv2d(config.channels, config.width, 2 * p - 1, p, p - 1)
    layers = []
    for before, after in pairwise((config.channels, *config.stem_widths)):
        layers += [nn.Conv2d(before, after, 3, 2, 1), nn.GELU()]
    return nn.Sequential(*layers[:-1])


def save_model(model: VisionTransformer, path: Path) -> None:
    """Write ``model`` to ``path``: configuration as JSON, state_dict, checksum; atomic."""
    write_model(model, "network", path)


def load_model(path: str | Path) -> VisionTransformer:
    """The network of a file that :func:`save_model` wrote, in evaluation mode.

    Raises
    ------
    EcoformerError
        No such file, damaged, or not a model file.
    """
    return read_model(path, {"network": (NetworkConfig, VisionTransformer)})
