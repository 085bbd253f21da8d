"""Where parameters live on the chip: memory regions, rows and the 32-bit words that load them.

Rows follow the folding: one row holds what one step of the unit consumes, so the same parameter
image loads into engines of any rate.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ecoformer.spec.arithmetic import BIAS_WIDTH
from ecoformer.spec.weights import WEIGHT_FORMATS

__all__ = ["Layout", "Region", "WORD_BITS", "REGIONS"]

WORD_BITS = 32
THRESHOLD_SLOT = 32
"""Bits a threshold occupies in its row; a whole word keeps software simple."""
REGIONS = ("anchors", "bias", "projection", "threshold", "scalars")
"""Every region in the order of their numbers; an engine has those that its hash family needs."""


@dataclass(frozen=True)
class Region:
    """One parameter memory.

    Parameters
    ----------
    index : int
        Number of the region in ``PARAM_ADDRESS``.
    name : str
        Array of the parameter image it holds.
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

    @property
    def address_bits(self):
        """Bits of a row's number."""
        return (self.rows - 1).bit_length()

    @property
    def words(self):
        """32-bit words per row."""
        return -(-self.lanes * self.lane_bits // WORD_BITS)

    @property
    def row_bits(self):
        """Bits per row, padded to whole words."""
        return self.words * WORD_BITS


class Layout:
    """The parameter memories of an engine.

    Parameters
    ----------
    config : Config
    """

    ROW_SHIFT, REGION_SHIFT = 12, 28

    def __init__(self, config):
        self.config = config

    @property
    def scalars(self):
        """Words of the one row of per-set scalars."""
        return {"rbf": ("shift", "offset"), "none": ("shift", "scale")}.get(
            self.config.hash, ("offset",)
        )

    @cached_property
    def regions(self):
        """Every region that this engine has, by name, in the order of their numbers."""
        c, weight = self.config, WEIGHT_FORMATS[self.config.weights].bits
        shapes = {"scalars": (1, len(self.scalars), WORD_BITS)}
        if c.is_hashed:
            fold = c.projection_fold
            shapes["projection"] = (fold.steps, fold.lanes, weight)
            shapes["threshold"] = (fold.output_steps, fold.output_lanes, THRESHOLD_SLOT)
        if c.hash == "rbf":
            shapes["anchors"] = (c.dot_fold.steps, c.dot_fold.lanes, weight)
            shapes["bias"] = (self.kernel_steps, self.kernel_lanes, BIAS_WIDTH)
        return {
            name: Region(index, name, *shapes[name])
            for index, name in enumerate(REGIONS)
            if name in shapes
        }

    @property
    def kernel_lanes(self):
        """Kernel values looked up per cycle."""
        fold = self.config.dot_fold
        return -(-fold.output_lanes // fold.input_steps)

    @property
    def kernel_block_steps(self):
        """Cycles in which the kernel table is read for one block of dot products."""
        return -(-self.config.dot_fold.output_lanes // self.kernel_lanes)

    @property
    def kernel_steps(self):
        """Cycles per token in which the kernel table is read."""
        return self.config.dot_fold.output_steps * self.kernel_block_steps

    @property
    def kernel_places(self):
        """Row and lane of every anchor in the kernel stage."""
        places = []
        for anchor in range(self.config.anchors):
            block, position = divmod(anchor, self.config.dot_fold.output_lanes)
            row, lane = divmod(position, self.kernel_lanes)
            places.append((block * self.kernel_block_steps + row, lane))
        return places

    def address(self, region, row, word):
        """Value of ``PARAM_ADDRESS`` that selects one word."""
        return region.index << self.REGION_SHIFT | row << self.ROW_SHIFT | word

    def rows(self, image, index):
        """What every row of parameter set ``index`` holds: dict region name → [rows, lanes].

        Weights are encoded. Lanes beyond the edge of the array hold 0, so they add nothing.
        """
        c, encode = self.config, WEIGHT_FORMATS[self.config.weights].encode
        rows = {"scalars": np.array([[getattr(image, name)[index] for name in self.scalars]])}
        if c.is_hashed:
            fold = c.projection_fold
            threshold = np.zeros(fold.output_steps * fold.output_lanes, dtype=np.int64)
            threshold[: c.code_bits] = image.threshold[index]
            rows["projection"] = _blocks(fold, encode(image.projection[index].T))
            rows["threshold"] = threshold.reshape(fold.output_steps, -1)
        if c.hash == "rbf":
            bias = np.zeros((self.kernel_steps, self.kernel_lanes), dtype=np.int64)
            bias[tuple(np.transpose(self.kernel_places))] = image.bias[index]
            rows["anchors"] = _blocks(c.dot_fold, encode(image.anchors[index].T))
            rows["bias"] = bias
        return {name: rows[name] for name in self.regions}

    def load_words(self, image, index):
        """Register writes that load parameter set ``index``: list of (address, data) pairs."""
        writes = []
        for name, rows in self.rows(image, index).items():
            region = self.regions[name]
            for row, elements in enumerate(rows):
                packed = 0
                for lane, element in enumerate(elements):
                    packed |= (int(element) & (1 << region.lane_bits) - 1) << (
                        lane * region.lane_bits
                    )
                for word in range(region.words):
                    data = packed >> (word * WORD_BITS) & (1 << WORD_BITS) - 1
                    writes.append((self.address(region, row, word), data))
        return writes


def _blocks(fold, matrix):
    """Rows of a folded ``inputs × outputs`` matrix; lane = output · input_lanes + input."""
    rows = np.zeros((fold.steps, fold.output_lanes, fold.input_lanes), dtype=np.int64)
    for step in range(fold.steps):
        inputs, outputs = fold.block(step)
        block = matrix[inputs.start : inputs.stop, outputs.start : outputs.stop]
        rows[step, : len(outputs), : len(inputs)] = block.T
    return rows.reshape(fold.steps, -1)
