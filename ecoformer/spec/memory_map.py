# SPDX-License-Identifier: Apache-2.0
"""Parameter memories: regions, rows and the 32-bit words that load them.

Rows follow the folding: a row holds what one step of the unit consumes, so the same parameter
image loads into engines of any rate.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np

from ecoformer.spec.choices import RegionCode

if TYPE_CHECKING:
    from ecoformer.spec.config import Config
    from ecoformer.spec.parameters import ParameterImage

__all__ = ["MemoryMap", "Region", "WORD_BITS", "SIDE_CODES", "THRESHOLD_SLOT"]

WORD_BITS = 32
THRESHOLD_SLOT = 32
"""Bits a threshold occupies in its row; a whole word keeps software simple."""
SIDE_CODES = 1 + RegionCode.SCALARS
"""Codes of the regions of one side, and of the scalars."""


@dataclass(frozen=True)
class Region:
    """One parameter memory.

    Parameters
    ----------
    index : int
        Its `RegionCode`.
    name : str
        Array of the parameter image that it holds.
    rows : int
        Rows per parameter set.
    lanes : int
        Elements per row.
    lane_bits : int
        Bits per element; elements are packed low first.
    """

    index: int
    name: str
    rows: int
    lanes: int
    lane_bits: int

    @classmethod
    def of(cls, name: str, rows: int, lanes: int, lane_bits: int) -> Self:
        """The region of that name, with the code that it has in every engine."""
        return cls(int(RegionCode[name.upper()]), name, rows, lanes, lane_bits)

    @property
    def address_bits(self) -> int:
        """Bits of a row's number."""
        return (self.rows - 1).bit_length()

    @property
    def words(self) -> int:
        """32-bit words per row."""
        return -(-self.lanes * self.lane_bits // WORD_BITS)

    @property
    def row_bits(self) -> int:
        """Bits per row, padded to whole words."""
        return self.words * WORD_BITS

    def packed(self, elements: Iterable[int]) -> int:
        """The bits of a row of these elements."""
        mask = (1 << self.lane_bits) - 1
        return sum((int(e) & mask) << lane * self.lane_bits for lane, e in enumerate(elements))


class MemoryMap:
    """The parameter memories of an engine.

    Parameters
    ----------
    config : Config
    """

    ROW_SHIFT, REGION_SHIFT = 12, 28

    def __init__(self, config: Config):
        self.config = config

    @property
    def scalars(self) -> tuple[str, ...]:
        """Words of the single row of region ``scalars``: the hash's, then the attention's."""
        hashing = self.config.sides.named(dict.fromkeys(self.config.family.scalars))
        return (*hashing, *self.config.flow.scalars)

    @cached_property
    def regions(self) -> dict[str, Region]:
        """Every region of this engine by name, in the order of their codes."""
        hashing = {region.name: region for region in self.config.family.regions}
        regions = [Region.of("scalars", 1, len(self.scalars), WORD_BITS)]
        regions += [
            Region.of(name, region.rows, region.lanes, region.lane_bits)
            for name, region in self.config.sides.named(hashing).items()
        ]
        return {region.name: region for region in sorted(regions, key=lambda r: r.index)}

    @property
    def codes(self) -> int:
        """Codes up to the highest of a region."""
        return 1 + max(region.index for region in self.regions.values())

    @property
    def set_words(self) -> int:
        """Register writes that load a set: its words, addresses of its rows, COMMIT; at most."""
        return 1 + sum(region.rows * (region.words + 1) for region in self.regions.values())

    def address(self, region: Region, row: int, word: int) -> int:
        """Value of ``PARAM_ADDRESS`` that selects one word."""
        return region.index << self.REGION_SHIFT | row << self.ROW_SHIFT | word

    def rows(self, image: ParameterImage, index: int) -> dict[str, np.ndarray]:
        """Content of every region for parameter set ``index``: name → int64 [rows, lanes]."""
        rows = {"scalars": np.array([[getattr(image, name)[index] for name in self.scalars]])}
        for side in self.config.sides.all:
            own = self.config.family.rows(image.side(side), index)
            rows |= {side.prefix + name: content for name, content in own.items()}
        return {name: rows[name] for name in self.regions}

    def load_words(self, image: ParameterImage, index: int) -> list[tuple[int, int]]:
        """Register writes that load parameter set ``index``: (address, data) pairs."""
        writes = []
        for name, rows in self.rows(image, index).items():
            region = self.regions[name]
            for row, elements in enumerate(rows):
                packed = region.packed(elements)
                for word in range(region.words):
                    data = packed >> (word * WORD_BITS) & (1 << WORD_BITS) - 1
                    writes.append((self.address(region, row, word), data))
        return writes
