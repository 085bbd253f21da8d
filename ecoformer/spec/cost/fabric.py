# SPDX-License-Identifier: Apache-2.0
"""How memories and multipliers become blocks of an ECP5, by the rules that Yosys follows."""

from dataclasses import dataclass

__all__ = ["Memory", "multipliers"]

BLOCK_SHAPES = ((36, 512), (18, 1_024), (9, 2_048), (4, 4_096), (2, 8_192), (1, 16_384))
"""Width and depth of a DP16KD."""
BLOCK_COST, LUTRAM_COST, SELECTED_COST = 128, 4, 0.5
"""Yosys takes the cheaper of block RAM, and of TRELLIS_DPR16X4 cells and what selects among them;
block RAM if they cost the same."""
LUTRAM_WIDTH, LUTRAM_DEPTH, LUTRAM_LUTS = 4, 16, 6
"""A distributed RAM holds 16 words of four bits, and takes four LUTs and two for its write port."""
MULTIPLIER_WIDTH = 18
"""Bits of an operand of a MULT18X18D."""


@dataclass(frozen=True)
class Memory:
    """A memory of an engine.

    Parameters
    ----------
    name : str
    width, depth : int
        Bits of a word, and words.
    style : str
        ``block`` where the hardware asks for block RAM, ``rom`` for a table with initial values,
        else empty: the cheaper form.
    pitch, used : int
        Of every ``pitch`` bits of a word the lowest ``used`` are read; by default all are. A form
        is chosen for the whole word, and what holds none of these bits is left out of it.
    masked : bool
        Words of 32 bits are written by themselves. The ninth bit of a block's bytes is then empty.
    """

    name: str
    width: int
    depth: int
    style: str = ""
    pitch: int = 0
    used: int = 0
    masked: bool = False

    @property
    def cells(self) -> int:
        """TRELLIS_DPR16X4 cells of a distributed RAM."""
        return self._columns(LUTRAM_WIDTH) * _ceil(self.depth, LUTRAM_DEPTH)

    @property
    def fewest_blocks(self) -> int:
        """DP16KD of a block RAM that holds whole words."""
        return min(map(self._blocks_of, BLOCK_SHAPES))

    @property
    def is_block(self) -> bool:
        """Whether it becomes block RAM."""
        cells = _ceil(self.width, LUTRAM_WIDTH) * _ceil(self.depth, LUTRAM_DEPTH)
        distributed = LUTRAM_COST * cells + SELECTED_COST * self._selected
        return self.style != "" or BLOCK_COST * self.fewest_blocks <= distributed

    @property
    def blocks(self) -> int:
        """DP16KD that it takes."""
        if not self.is_block:
            return 0
        # Of shapes that take as many, the narrowest.
        width, depth = min(reversed(BLOCK_SHAPES), key=self._blocks_of)
        return self._columns(self._held(width)) * _ceil(self.depth, depth)

    @property
    def luts(self) -> int:
        """LUTs of its cells if it is distributed."""
        return 0 if self.is_block else LUTRAM_LUTS * self.cells

    @property
    def selected(self) -> int:
        """Bits that multiplexers choose between the cells of a deep distributed RAM."""
        return 0 if self.is_block else self._selected

    def _blocks_of(self, shape):
        width, depth = shape
        return _ceil(self.width, self._held(width)) * _ceil(self.depth, depth)

    def _held(self, width):
        """Bits of a block of this width that can be used."""
        return width - width // 9 if self.masked else width

    def _columns(self, width):
        """Cells side by side, ``width`` bits each, that hold a bit that is read."""
        if not self.used:
            return _ceil(self.width, width)
        starts = range(0, self.width, self.pitch)
        return len({bit // width for start in starts for bit in range(start, start + self.used)})

    @property
    def _selected(self):
        return self.width * (_ceil(self.depth, LUTRAM_DEPTH) - 1)


def multipliers(left: int, right: int) -> int:
    """MULT18X18D of a product of operands of so many bits."""
    return _ceil(left, MULTIPLIER_WIDTH) * _ceil(right, MULTIPLIER_WIDTH)


def _ceil(a, b):
    return -(-a // b)
