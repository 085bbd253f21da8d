# SPDX-License-Identifier: Apache-2.0
"""How memories and multipliers become blocks of an ECP5, by the rules that Yosys follows."""

from dataclasses import dataclass

__all__ = ["Memory", "multipliers", "split_bits"]

BLOCK_SHAPES = ((36, 512), (18, 1_024), (9, 2_048), (4, 4_096), (2, 8_192), (1, 16_384))
"""Width and depth of a DP16KD."""
BLOCK_COST, LUTRAM_COST, SELECTED_COST = 128, 4, 0.5
"""Yosys takes the cheaper of block RAM, and of TRELLIS_DPR16X4 cells and what selects among them;
block RAM if they cost the same."""
LUTRAM_WIDTH, LUTRAM_DEPTH, LUTRAM_LUTS = 4, 16, 6
"""A distributed RAM holds 16 words of four bits, and takes four LUTs and two for its write port."""
BYTE = 9
"""Bits of a block that are written by themselves."""
ROM_BITS = 16
"""Bits of a table that Yosys takes to be as cheap in LUTs as a unit of `BLOCK_COST`."""
ROM_MARGIN = 32
"""Bits by which a table must be cheaper in blocks."""
LUT_ROWS = 16
"""Words of which a LUT holds a bit."""
MULTIPLIER_WIDTH = 18
"""Bits of an operand of a MULT18X18D."""


@dataclass(frozen=True)
class Memory:
    """A memory of an engine or of a network.

    Parameters
    ----------
    name : str
    width, depth : int
        Bits of a word, and words.
    style : str
        ``block`` or ``distributed`` where the hardware asks for it, ``rom`` for a large table with
        initial values, ``table`` for one that is block RAM or LUTs, else empty: the cheaper form.
    pitch, used : int
        Of every ``pitch`` bits of a word the lowest ``used`` are read; by default all are. A form
        is chosen for the whole word, and what holds none of these bits is left out of it.
    granule : int
        Bits that are written by themselves; 0 where words are whole. Then they share no byte of a
        block with others, nor a cell of a distributed RAM.
    """

    name: str
    width: int
    depth: int
    style: str = ""
    pitch: int = 0
    used: int = 0
    granule: int = 0

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
        if self.style == "table":
            bits = self.width * self.depth
            return bits > ROM_BITS * BLOCK_COST * self.fewest_blocks + ROM_MARGIN
        if self.style:
            return self.style != "distributed"
        cells = self._across(LUTRAM_WIDTH) * _ceil(self.depth, LUTRAM_DEPTH)
        distributed = LUTRAM_COST * cells + SELECTED_COST * self._selected
        return BLOCK_COST * self.fewest_blocks <= distributed

    @property
    def blocks(self) -> int:
        """DP16KD that it takes."""
        if not self.is_block:
            return 0
        width, depth = self._shape
        return self._columns(width) * _ceil(self.depth, depth)

    @property
    def block_selected(self) -> int:
        """Bits that multiplexers choose between the blocks of a deep block RAM."""
        return self.width * (_ceil(self.depth, self._shape[1]) - 1) if self.is_block else 0

    @property
    def luts(self) -> int:
        """LUTs of its cells if it is distributed."""
        return LUTRAM_LUTS * self.cells if self._is_distributed else 0

    @property
    def selected(self) -> int:
        """Bits that multiplexers choose between the cells of a deep distributed RAM."""
        return self._selected if self._is_distributed else 0

    @property
    def table_luts(self) -> int:
        """LUTs that hold the bits of a table which is not block RAM."""
        if self.is_block or self.style != "table":
            return 0
        return self.width * _ceil(self.depth, LUT_ROWS)

    @property
    def table_selected(self) -> int:
        """Bits that multiplexers choose between these."""
        return self._selected if self.table_luts else 0

    @property
    def _is_distributed(self):
        return not self.is_block and self.style != "table"

    @property
    def _shape(self):
        """Width and depth of its blocks: of shapes that take as many, the narrowest."""
        return min(reversed(BLOCK_SHAPES), key=self._blocks_of)

    def _blocks_of(self, shape):
        width, depth = shape
        return self._across(width) * _ceil(self.depth, depth)

    def _across(self, width):
        """Blocks or cells of this width side by side."""
        if not self.granule:
            return _ceil(self.width, width)
        granules = self.width // self.granule
        bytes_there, bytes_taken = max(1, width // BYTE), _ceil(self.granule, min(width, BYTE))
        if bytes_taken <= bytes_there:
            return _ceil(granules, bytes_there // bytes_taken)
        return granules * _ceil(bytes_taken, bytes_there)

    def _columns(self, width):
        """As many of them as hold a bit that is read."""
        if not self.used:
            return self._across(width)
        held = _ceil(self.width, self._across(width)) if self.granule else width
        starts = range(0, self.width, self.pitch)
        return len({bit // held for start in starts for bit in range(start, start + self.used)})

    @property
    def _selected(self):
        return self.width * (_ceil(self.depth, LUTRAM_DEPTH) - 1)


def multipliers(left: int, right: int) -> int:
    """MULT18X18D of a product of operands of so many signed bits.

    A wide operand is cut into pieces of one bit less, and what is left of it into the last; if that
    is a single bit, it is multiplied by LUTs.
    """
    return _pieces(left) * _pieces(right)


def split_bits(left: int, right: int) -> int:
    """Bits of partial products that LUTs make or add up, where operands are wider than a block."""
    return (left > MULTIPLIER_WIDTH) * right + (right > MULTIPLIER_WIDTH) * left


def _pieces(width):
    return max(1, _ceil(width - 2, MULTIPLIER_WIDTH - 1))


def _ceil(a, b):
    return -(-a // b)
