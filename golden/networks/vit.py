# SPDX-License-Identifier: Apache-2.0
"""A small vision transformer whose attention is softmax or EcoFormer, and its file."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol, Self

import torch
from torch import nn

from ecoformer.errors import EcoformerError, first_line
from ecoformer.files import write_atomic
from ecoformer.golden.attention import Attention, EcoFormerAttention, SoftmaxAttention, cores_of
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.files import check_state, read_checked, state_digest, torch_bytes
from ecoformer.golden.networks.drop_path import DropPath
from ecoformer.golden.sites.placing import fill_sites
from ecoformer.golden.sites.site import Site
from ecoformer.golden.stand_ins import LimitAttention
from ecoformer.inputs import parse_json
from ecoformer.spec.checks import check_choice, check_number

__all__ = [
    "Block",
    "BlockShape",
    "NetworkConfig",
    "PatchConvolution",
    "STEMS",
    "VisionTransformer",
    "save_model",
    "load_model",
]

LARGEST, DEEPEST, MOST_WEIGHTS = 8_192, 1_000, 100_000_000
"""Bounds of every size, of the depth and of both, checked before any memory is taken."""

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


class VisionTransformer(nn.Module):
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
            Site(path=f"blocks.{layer}.attention.core", heads=heads, head_dim=head_dim)
            for layer in range(self.config.depth)
        ]

    def attention_layers(self) -> list[SoftmaxAttention | EcoFormerAttention]:
        """The attention between the projections of every block, first block first."""
        return [block.attention.core for block in self.blocks]


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
    attention = model.attention_config
    config = {
        "network": asdict(model.config),
        "attention": None if attention is None else asdict(attention),
    }
    state = model.state_dict()
    content = {"config": json.dumps(config), "state": state, "sha256": state_digest(state)}
    write_atomic(path, torch_bytes(content))


def load_model(path: str | Path) -> VisionTransformer:
    """The network of a file that :func:`save_model` wrote, in evaluation mode.

    Raises
    ------
    EcoformerError
        No such file, damaged, or not a model file.
    """
    path = Path(path)
    content = read_checked(path, "model file")
    try:
        config = parse_json(content["config"])
        attention = config["attention"]
        shape = (
            NetworkConfig(**config["network"]),
            None if attention is None else AttentionConfig(**attention),
        )
        _check_hashes(*shape)
        model = VisionTransformer(*shape)
        check_state(content["state"], model.state_dict())
        model.load_state_dict(content["state"])
        whole = state_digest(content["state"]) == content["sha256"]
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise EcoformerError(
            f"{path}: not a model file ({first_line(error)}); train again"
        ) from error
    if not whole:
        raise EcoformerError(f"{path}: damaged model file (checksum differs); train again")
    return model.eval()


def _check_hashes(network, attention):
    """Refuse hashes whose weights would take too much memory, before it is taken."""
    if attention is None:
        return
    features = max(attention.anchors, network.head_dim)
    weights = network.depth * network.heads * features * (attention.code_bits + network.head_dim)
    if weights > MOST_WEIGHTS:
        raise ValueError(f"hashes must have at most {MOST_WEIGHTS:,} weights, not {weights:,}")
