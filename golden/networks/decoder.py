# SPDX-License-Identifier: Apache-2.0
"""A small causal language model whose attention is EcoFormer's or softmax."""

from dataclasses import asdict, dataclass
from typing import Self

import torch
from torch import nn

from ecoformer.golden.attention import SoftmaxAttention
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.networks.blocks import Block, Blocks
from ecoformer.golden.networks.model_file import DEEPEST, LARGEST, MOST_WEIGHTS
from ecoformer.spec.alphabet import check_alphabet
from ecoformer.spec.checks import check_number
from ecoformer.spec.network.decoder import DecoderDesign

__all__ = ["Decoder", "DecoderConfig"]


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """Shape of a decoder; by default that of microgpt, whose 4,192 parameters are all matrices.

    Parameters
    ----------
    vocabulary : int
        Tokens that there are.
    positions : int
        Most tokens of a context.
    width : int
        Elements of a token.
    heads : int
        Attention heads; head dimension width / heads.
    depth : int
        Blocks.
    mlp_ratio : int
        Hidden width of the MLP over ``width``.
    alphabet : str
        The characters that tokens stand for, of all tokens but the last one (`spec.alphabet`);
        empty where that is not known.

    Raises
    ------
    TypeError, ValueError
        A value of the wrong type, outside its range, or one that does not divide.
    """

    vocabulary: int = 27
    positions: int = 16
    width: int = 16
    heads: int = 4
    depth: int = 1
    mlp_ratio: int = 4
    alphabet: str = ""

    mlp_convolution = False

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if name != "alphabet":
                check_number(name, value, int, 1, DEEPEST if name == "depth" else LARGEST)
        check_alphabet(self.alphabet, self.vocabulary)
        if self.width % self.heads:
            raise ValueError(f"heads must divide width = {self.width}, not be {self.heads}")
        if self.weight_count > MOST_WEIGHTS:
            raise ValueError(
                f"width, depth and the other sizes must make at most {MOST_WEIGHTS:,} weights, "
                f"not {self.weight_count:,}"
            )

    @classmethod
    def of(cls, design: DecoderDesign) -> Self:
        """The shape that a network for ``design`` is trained in.

        Raises
        ------
        ValueError
            There is no such network.
        """
        if design.hidden % design.width:
            raise ValueError(
                f"hidden must be a multiple of width = {design.width} to be trained, not "
                f"{design.hidden}"
            )
        same = "vocabulary", "positions", "width", "heads", "depth", "alphabet"
        values = {name: getattr(design, name) for name in same}
        return cls(**values, mlp_ratio=design.hidden // design.width)

    @property
    def weight_count(self) -> int:
        """Weights of all matrices; biases and norms are left out."""
        block = (4 + 2 * self.mlp_ratio) * self.width**2
        return self.width * (2 * self.vocabulary + self.positions) + self.depth * block

    @property
    def softmax_form(self) -> Self:
        """The same network with softmax in the place of EcoFormer attention: the shape is one."""
        return self

    @property
    def tokens(self) -> int:
        """Tokens of the longest context."""
        return self.positions

    @property
    def head_dim(self) -> int:
        """Elements D = E of a token in one head."""
        return self.width // self.heads


class Decoder(Blocks):
    """Embedded tokens and positions, causal blocks, norm, classifier.

    Parameters
    ----------
    config : DecoderConfig
        Shape of the network.
    attention : AttentionConfig or None
        EcoFormer attention in every block; softmax when None.
    """

    mask_kind = "causal"

    def __init__(self, config: DecoderConfig, attention: AttentionConfig | None = None):
        super().__init__()
        self.config = config
        self.embedding = nn.Parameter(0.1 * torch.randn(config.vocabulary, config.width))
        self.position = nn.Parameter(0.1 * torch.randn(config.positions, config.width))
        self.blocks = nn.Sequential(*(Block(config, i) for i in range(config.depth)))
        self.norm = nn.LayerNorm(config.width)
        self.classifier = nn.Linear(config.width, config.vocabulary)
        self.attend_with(
            lambda heads, layer: SoftmaxAttention(heads, layer=layer, mask=self.mask_kind)
        )
        if attention is not None:
            self.replace_attention(attention)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits [B, N, vocabulary] of ``tokens``, int64 [B, N], at the first N positions."""
        x = self.embedding[tokens] + self.position[: tokens.shape[1]]
        return self.classifier(self.norm(self.blocks(x)))
