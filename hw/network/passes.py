# SPDX-License-Identifier: Apache-2.0
"""Which block of a network the hardware that all blocks share is at work on, place by place."""

from functools import reduce
from operator import or_

from amaranth import *

from ecoformer.hw.lib.pipeline import block_of

__all__ = ["Passes"]


class Passes:
    """The passes that are in a block's hardware: for which block of the network each of them is.

    In a pass all tokens of an image go through the hardware, and passes go through it one after
    another. So every place in it knows by counting tokens which pass they are of; only what each
    pass is for has to be said, once and to all places: in `entries`, round and round.

    Parameters
    ----------
    blocks : int
        Blocks of the network.
    tokens : int
        Of a pass.
    """

    def __init__(self, blocks: int, tokens: int):
        self.blocks = blocks
        self.tokens = tokens
        self.entries: list[Signal] = []

    def reserve(self, most: int) -> None:
        """Keep ``most`` passes at once, which no place may exceed; before anything is elaborated.
        """
        self.entries = [Signal(range(self.blocks), name=f"pass_{i}_block") for i in range(most)]

    def announce(self, m: Module, begins: Value, block: Value) -> None:
        """In the one module that begins passes: ``begins`` strobes one for ``block``.

        At least two cycles before its first token is anywhere.
        """
        newest = Signal(len(self.entries), name="newest_pass", init=1)
        with m.If(begins):
            m.d.sync += newest.eq(newest.rotate_left(1))
        for number, entry in enumerate(self.entries):
            with m.If(begins & newest[number]):
                m.d.sync += entry.eq(block)

    def block(self, m: Module, ends: Value, *, stride: int = 1, name: str) -> Signal:
        """The block for which a place is at work, times ``stride``: a register.

        Parameters
        ----------
        m : Module
            Of the place.
        ends : Value
            Strobe: the place is done with a pass. The next cycle may be of the one behind it.
        name : str
            Stem of the registers' names; unique within ``m``.
        """
        count = len(self.entries)
        oldest = Signal(count, name=f"{name}_pass", init=1)
        following = Signal(count, name=f"{name}_next_pass")
        m.d.comb += following.eq(Mux(ends, oldest.rotate_left(1), oldest))
        entry = Signal.like(self.entries[0], name=f"{name}_entry")
        m.d.comb += entry.eq(block_of(Cat(self.entries), following, len(entry)))
        number = Signal(range((self.blocks - 1) * stride + 1), name=f"{name}_block")
        m.d.sync += [oldest.eq(following), number.eq(self._times(entry, stride))]
        return number

    def _times(self, block, stride):
        """``block`` times a constant, of the few that there can be."""
        if stride == 1:
            return block
        width = ((self.blocks - 1) * stride).bit_length()
        return reduce(or_, (
            C(number * stride, width) & (block == number).replicate(width)
            for number in range(1, self.blocks)
        ))

    def block_of_tokens(
        self, m: Module, token_ends: Value, *, stride: int = 1, name: str
    ) -> Signal:
        """`block` of a place that ``token_ends`` tells when it is done with a token."""
        token = Signal(range(self.tokens), name=f"{name}_token")
        last = token == self.tokens - 1
        with m.If(token_ends):
            m.d.sync += token.eq(Mux(last, 0, token + 1))
        return self.block(m, token_ends & last, stride=stride, name=name)
