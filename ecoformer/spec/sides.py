# SPDX-License-Identifier: Apache-2.0
"""Queries and keys: one vector of a token for both, or one for each with a hash of its own.

Whoever handles vectors of tokens, their codes or the parameters of their hash does so side by side
and need not know how many sides there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from ecoformer.spec.choices import Queries, RegionCode

if TYPE_CHECKING:
    from ecoformer.spec.config import Config

__all__ = ["SIDES", "Side", "Sides", "Vectors"]

T = TypeVar("T")


class Side(NamedTuple):
    """A vector of a token, and what becomes of it.

    Parameters
    ----------
    vector : str
        Name of the vector.
    code : str
        Name of its code.
    prefix : str
        What the names of its parameters, memories and units begin with.
    first_code : int
        Code of its first parameter memory (`spec.choices.RegionCode`).
    """

    vector: str
    code: str
    prefix: str = ""
    first_code: int = RegionCode.ANCHORS


_APART = Side("q", "query", "query_", RegionCode.QUERY_ANCHORS), Side("k", "code")

SIDES: dict[Queries, tuple[Side, ...]] = {
    Queries.SHARED: (Side("x", "code"),),
    Queries.SEPARATE: _APART,
    Queries.CROSS: _APART,
}
"""The sides of every ``queries`` in the order of their vectors in a token: the first one asks, the
last one answers."""


class Vectors:
    """Vectors of some sides, or their codes, side by side.

    Parameters
    ----------
    config : Config
    sides : tuple of Side

    Attributes
    ----------
    all : tuple of Side
    """

    def __init__(self, config: Config, sides: tuple[Side, ...]):
        self.config = config
        self.all = sides

    @property
    def elements(self) -> int:
        """Elements of a token as it is sent, its value aside."""
        return len(self.all) * self.config.family.key_elements

    @property
    def bytes(self) -> int:
        """Bytes of a token as it is sent, its value aside."""
        return len(self.all) * self.config.family.key_bytes

    @property
    def bits(self) -> int:
        """Bits of a token as it is sent, its value and padding aside."""
        return self.elements * self.config.family.element_width

    @property
    def code_width(self) -> int:
        """Bits of the codes of a token."""
        return len(self.all) * self.config.family.key_width

    def bit_name(self, bit: int) -> str:
        """What to call a bit of the codes of a token, which lie side by side."""
        side, bit = divmod(bit, self.config.family.key_width)
        return f"{self.all[side].code} bit {bit}"

    def split(self, array: np.ndarray) -> list[np.ndarray]:
        """What lies side by side along the last axis."""
        return np.split(array, len(self.all), axis=-1)

    def pack(self, tokens: np.ndarray) -> np.ndarray:
        """Bytes on the wire of ``tokens`` [N, elements]: uint8 [N, bytes]."""
        parts = self.split(np.asarray(tokens))
        return np.concatenate([self.config.family.pack(part) for part in parts], axis=1)

    def unpack_codes(self, bits: np.ndarray) -> np.ndarray:
        """Codes as numbers, from their bits [N, code_width] as traced in the engine: int64."""
        unpack = self.config.family.unpack_keys
        return np.concatenate([unpack(part) for part in self.split(bits)], axis=1)


class Sides(Vectors):
    """Every side of an engine; which of them come in the same token, its inlets say (`spec.wire`).

    Parameters
    ----------
    config : Config
    """

    def __init__(self, config: Config):
        super().__init__(config, SIDES[config.queries])

    @property
    def query(self) -> Side:
        """The side whose code queries."""
        return self.all[0]

    @property
    def key(self) -> Side:
        """The side whose code is accumulated."""
        return self.all[-1]

    def named(self, values: Mapping[str, T]) -> dict[str, T]:
        """``values`` of every side, by names with its prefix."""
        return {side.prefix + name: v for side in self.all for name, v in values.items()}
