# SPDX-License-Identifier: Apache-2.0
"""Attention that networks are trained with or compared with, and that never runs on an engine."""

from math import pi

import torch
from torch.nn.functional import normalize

from ecoformer.golden.attention import SoftmaxAttention, similarity_attention
from ecoformer.golden.attention_config import AttentionConfig

__all__ = ["CONTROLS", "LimitAttention", "MeanAttention", "NoAttention"]

EDGE = 1 - 1e-6
"""Largest cosine: the slope of arcsin has no bound at 1, where every token meets itself."""


class LimitAttention(SoftmaxAttention):
    """What EcoFormer attention becomes with ever more random bits; queries must be the keys.

    Two tokens at an angle of θ differ in a share θ/π of the bits of random linear hashes, so the
    mean product of their codes is (2/π)·arcsin(cos θ) for one bit (Charikar, STOC 2002). That, with
    the offset c/b, takes the place of softmax: smooth, without a hash. A network trained so takes
    codes of any length afterwards.

    Parameters
    ----------
    heads, layer
        Same as :class:`golden.attention.SoftmaxAttention`.
    config : AttentionConfig
        Gives c/b and ``value_term``.
    """

    def __init__(self, heads: int, config: AttentionConfig, layer: int = 0):
        super().__init__(heads, layer=layer)
        self.value_term = config.value_term
        self.offset = (config.offset or config.code_bits + 1) / config.code_bits

    def _attend(self, q, k, v, key_mask):
        cosine = normalize(q, dim=-1) @ normalize(k, dim=-1).mT
        similarity = 2 / pi * torch.asin(cosine.clamp(-EDGE, EDGE))
        return similarity_attention(similarity, v, self.offset, self.value_term, key_mask)


class MeanAttention(SoftmaxAttention):
    """The mean of the values that the mask shows: a network may look, but not choose where."""

    def _attend(self, q, k, v, key_mask):
        weights = torch.ones_like(q[..., :1]) @ torch.ones_like(k[..., :1]).mT
        return similarity_attention(weights, v, 0.0, key_mask=key_mask, mask_kind=self.mask)


class NoAttention(SoftmaxAttention):
    """A token's own value: what a network can do whose tokens do not see each other."""

    def _attend(self, q, k, v, key_mask):
        return v


CONTROLS = {"mean": MeanAttention, "none": NoAttention}
"""Attention that a task which needs attention must not be solved with, by name."""
