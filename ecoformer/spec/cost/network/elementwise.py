# SPDX-License-Identifier: Apache-2.0
"""Layers that take an element at a time: activation, positions, and what goes around a branch."""

from __future__ import annotations

from dataclasses import dataclass

from ecoformer.spec.cost.fabric import Memory
from ecoformer.spec.cost.network.layer import Layer, parameter_memory

__all__ = ["ActivationLayer", "PositionsLayer", "ResidualLayer"]


@dataclass(frozen=True)
class ActivationLayer(Layer):
    """A table for every element that comes at once.

    Parameters
    ----------
    width : int
        Bits of an element.
    lanes : int
        Elements at once.
    layers : int
        Layers of the network that this is in turn.
    """

    width: int
    lanes: int
    layers: int = 1

    latency = 2

    @property
    def memories(self) -> list[Memory]:
        table = parameter_memory("table", self.width, self.layers << self.width, self.loads)
        return [table] * self.lanes

    @property
    def amounts(self) -> dict[str, float]:
        return {}


@dataclass(frozen=True)
class PositionsLayer(Layer):
    """Adds a constant to each element of each token.

    Parameters
    ----------
    width : int
        Bits of an element.
    rows : int
        Constants.
    """

    width: int
    rows: int

    latency = 4

    @property
    def memories(self) -> list[Memory]:
        return [parameter_memory("positions", self.width, self.rows, self.loads)]

    @property
    def amounts(self) -> dict[str, float]:
        return {"added bits": self.width, "place bits": self.rows.bit_length()}


@dataclass(frozen=True)
class ResidualLayer(Layer):
    """Keeps tokens while a branch works on them, and adds what comes of them.

    Parameters
    ----------
    beats : int
        Cycles in which a token comes.
    width : int
        Bits of an element.
    tokens : int
        That may be in the branch.
    lanes : int
        Elements at once.
    """

    beats: int
    width: int
    tokens: int
    lanes: int

    latency = 4

    @property
    def memories(self) -> list[Memory]:
        return [Memory("kept", self.lanes * self.width, self.beats * self.tokens, "block")]

    @property
    def amounts(self) -> dict[str, float]:
        return {
            "residual": 1,
            "added bits": self.lanes * self.width,
            "place bits": 2 * (self.beats * self.tokens).bit_length(),
        }
