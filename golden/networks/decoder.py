# SPDX-License-Identifier: Apache-2.0
"""A small causal language model whose attention is EcoFormer's or softmax."""

from dataclasses import asdict, dataclass

import torch
from torch import nn

from ecoformer.golden.attention import EcoFormerAttention, SoftmaxAttention, cores_of
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.networks.vit import Block
from ecoformer.spec.checks import check_number

__all__ = ["Decoder", "DecoderConfig"]

LARGEST = 65_536
"""Bound of every size."""
MASK = "causal"


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

    mlp_convolution = False

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            check_number(name, value, int, 1, LARGEST)
        if self.width % self.heads:
            raise ValueError(f"heads must divide width = {self.width}, not be {self.heads}")


class Decoder(nn.Module):
    """Embedded tokens and positions, causal blocks, norm, classifier.

    Parameters
    ----------
    config : DecoderConfig
        Shape of the network.
    attention : AttentionConfig or None
        EcoFormer attention in every block; softmax when None.
    """

    def __init__(self, config: DecoderConfig, attention: AttentionConfig | None = None):
        super().__init__()
        self.config = config
        self.embedding = nn.Parameter(0.1 * torch.randn(config.vocabulary, config.width))
        self.position = nn.Parameter(0.1 * torch.randn(config.positions, config.width))
        self.blocks = nn.Sequential(*(Block(config, i) for i in range(config.depth)))
        self.norm = nn.LayerNorm(config.width)
        self.classifier = nn.Linear(config.width, config.vocabulary)
        head_dim = config.width // config.heads
        for layer, block in enumerate(self.blocks):
            if attention is not None and attention.shares_queries:
                block.attention.share_queries()
            block.attention.core = (
                SoftmaxAttention(config.heads, layer=layer, mask=MASK) if attention is None else
                EcoFormerAttention(config.heads, head_dim, attention, layer=layer, mask=MASK)
            )

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits [B, N, vocabulary] of ``tokens``, int64 [B, N], at the first N positions."""
        x = self.embedding[tokens] + self.position[: tokens.shape[1]]
        return self.classifier(self.norm(self.blocks(x)))

    @property
    def attention_config(self) -> AttentionConfig | None:
        """Shape of the EcoFormer attention; None while attention is softmax."""
        cores = cores_of(self)
        return cores[0].config if cores else None
