# SPDX-License-Identifier: Apache-2.0
"""Words of results: how a token's results are cut between the divider and the bus."""

from math import lcm

from amaranth import *
from amaranth.lib import data

from ecoformer.hw.stream.payloads import Tag
from ecoformer.spec.config import Config

__all__ = ["Result", "Words"]


class Words:
    """How a token's results are cut: a word is the fewest blocks that fill whole beats.

    The buffer is then no wider than necessary: a word is one beat where blocks are small, and a
    whole token where they are large.

    Parameters
    ----------
    config : Config

    Attributes
    ----------
    blocks, elements, beats : int
        Of a word.
    count : int
        Words of a token.
    last_elements, last_beats : int
        Of a token's last word; the rest is zero or not sent.
    """

    def __init__(self, config: Config):
        self.fold = fold = config.state_fold
        block_bytes = fold.output_lanes * config.output_element_bytes
        blocks = lcm(block_bytes, config.bus_bytes) // block_bytes
        if blocks < fold.output_steps:
            self.blocks = blocks
            self.beats = blocks * block_bytes // config.bus_bytes
        else:
            self.blocks = fold.output_steps
            self.beats = config.output_beats
        self.elements = self.blocks * fold.output_lanes
        self.count = -(-fold.output_steps // self.blocks)
        self.last_elements = config.value_dim - (self.count - 1) * self.elements
        self.last_beats = config.output_beats - (self.count - 1) * self.beats

    def arrival(self, word: int) -> int:
        """Cycles from a token's first block to ``word`` on offer: its last block, buffer (2)."""
        block = min((word + 1) * self.blocks, self.fold.output_steps) - 1
        return block * self.fold.input_steps + 1 + 2

    @property
    def latency(self) -> int:
        """Cycles from a token's first block to its last beat, inclusive, without back-pressure.

        Where blocks come faster than beats can leave, the bus sets it.
        """
        return max(
            self.arrival(word) + 1 + (self.count - 1 - word) * self.beats + self.last_beats
            for word in range(self.count)
        )


class Result(data.StructLayout):
    """A word of results; ``end`` marks its token's last. A token of a bad packet has no other.

    Of several datapaths, ``guarded`` says with a token's last word whether its denominator was not
    positive: strobes of several in the same cycle could not be counted.
    """

    def __init__(self, config: Config):
        elements = data.ArrayLayout(signed(config.output_width), Words(config).elements)
        guarded = {"guarded": 1} if config.engines > 1 else {}
        super().__init__({"elements": elements, "end": 1, "tag": Tag(config), **guarded})
