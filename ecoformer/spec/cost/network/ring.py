# SPDX-License-Identifier: Apache-2.0
"""What sends the tokens of images through a block as often as a network has blocks."""

from __future__ import annotations

from dataclasses import dataclass

from ecoformer.spec.cost.fabric import Memory
from ecoformer.spec.cost.network.layer import Layer, queue
from ecoformer.spec.cost.network.linear import token_buffer
from ecoformer.spec.network.design import NetworkDesign
from ecoformer.spec.network.layers import RingShape

__all__ = ["RingLayer"]

READING = 2
"""Cycles from the beginning of a token to its first element."""


@dataclass(frozen=True)
class RingLayer(Layer):
    """The ring around a shared block.

    Parameters
    ----------
    design : NetworkDesign
    inside : int
        Tokens that may be in the block.
    """

    design: NetworkDesign
    inside: int

    @staticmethod
    def latency_of(elements: int) -> int:
        """Cycles from the announcement of a token of so many elements to its last element."""
        return elements + READING

    @property
    def shape(self) -> RingShape:
        """What waits in it."""
        return RingShape(self.design.tokens, self.inside)

    @property
    def tokens(self) -> int:
        """Tokens that may wait at once."""
        return self.shape.entering + self.shape.waiting

    @property
    def memories(self) -> list[Memory]:
        d = self.design
        waiting = self.shape.entering, self.shape.waiting
        blocks = (d.depth - 1).bit_length()
        return [
            *(token_buffer(d.width, d.residual_width, 1, tokens) for tokens in waiting),
            *queue("images that come back", blocks, self.shape.images),
        ]

    @property
    def amounts(self) -> dict[str, float]:
        return {
            "waiting tokens": 2,
            "place bits": sum(n.bit_length() for n in (self.tokens, self.design.width)),
            "added bits": self.design.residual_width,
        }
