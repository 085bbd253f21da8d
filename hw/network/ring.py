# SPDX-License-Identifier: Apache-2.0
"""Sends the tokens of images through a block as often as a network has blocks."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out, connect, flipped

from ecoformer.hw.lib.pipeline import delay, register
from ecoformer.hw.lib.steps import Steps
from ecoformer.hw.network.link import TokenLink, ends_on
from ecoformer.hw.network.passes import Passes
from ecoformer.hw.network.token_buffer import TokenBuffer
from ecoformer.spec.network.layers import RingShape

__all__ = ["Ring"]

LEAVING = 2
"""Tokens that may be about to leave when the block has room for others again."""
MARGIN = 4
"""Cycles, rounded up, from where the last token of a pass begins to where the next pass can."""


class Ring(wiring.Component):
    """Decides which image has the next pass through a block, and where it goes from there.

    Tokens come at the pace of the layers before, a token in the time in which the block takes one
    for each of its passes. So they are gathered, and enter once the last one will have come when
    its turn comes. Behind the block, tokens that have been worked on for the last block of the
    network leave, and others wait for their next pass in a memory with room for all tokens of all
    images in the ring. So the block can always go on unless the layers behind it are full, and they
    do not depend on it: there is no deadlock.

    `images` may be in the ring, so many that the block need not wait until one comes out of it. One
    enters `apart` cycles after the one before, because the layers before it would have to wait
    otherwise, which they could never make up for. No pass begins that would then still be entering.
    So images are answered equally far apart, and those in the ring share what time is left.

    Parameters
    ----------
    passes : Passes
    elements : int
        Of a token.
    width : int
        Signed bits of an element, everywhere.
    inside : int
        Tokens that may be in the block at once.
    cycles : int
        Of the block, from a token to the next.
    apart : int
        Cycles from an image to the next, at least those of all its passes.

    Members
    -------
    i, o : ``In(TokenLink(width))``, ``Out(TokenLink(width))``
        Tokens before the first pass, and behind the last.
    enters, leaves : ``Out(TokenLink(width))``, ``In(TokenLink(width))``
        Into the block, and out of it.
    """

    def __init__(
        self, passes: Passes, elements: int, width: int, inside: int, cycles: int, apart: int
    ):
        self.passes = passes
        self.elements = elements
        n = passes.tokens
        # A pass is begun while the last token of the one before is taken in, hence a token early.
        self.pass_cycles = (n - 1) * cycles
        self.apart = apart
        shape = RingShape(n, inside)
        self.images = shape.images
        # An image is known to be at a place until its last token has left it.
        passes.reserve(1 + -(-(inside + LEAVING) // n))
        self.entering = TokenBuffer(elements, width, slots=shape.entering)
        self.waiting = TokenBuffer(elements, width, slots=shape.waiting)
        link = TokenLink(width)
        super().__init__({"i": In(link), "o": Out(link), "enters": Out(link), "leaves": In(link)})

    @staticmethod
    def latency_of(elements: int) -> int:
        """Cycles from ``enters.begin`` to the last of so many elements of a token."""
        return elements + TokenBuffer.LATENCY + 1

    @property
    def tokens(self) -> int:
        """Tokens that may wait at once."""
        return self.entering.slots + self.waiting.slots

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.entering = self.entering
        connect(m, flipped(self.i), self.entering.i)
        m.submodules.waiting = self.waiting
        m.submodules.steps = steps = Steps(self.elements, 1)
        feeds, from_ring, starts = named("feeds", "from_ring", "starts")
        self._pass(m, starts, feeds, from_ring)
        self._read(m, steps, starts, feeds, from_ring)
        self._leave(m)
        return m

    def _pass(self, m, starts, feeds, from_ring):
        """Begin a pass when all tokens of the one before have entered the block."""
        n, last = self.passes.tokens, self.passes.blocks - 1
        # Images that come back, and for which block; so it has room for as many.
        m.submodules.images = images = SyncFIFO(width=last.bit_length(), depth=self.images)
        arrived = Signal(range(self.entering.slots + 1))
        token_ends = ends_on(m, self.i, self.elements, name="element")
        m.d.sync += arrived.eq(arrived + token_ends - (starts & ~from_ring))

        # One token comes in the time in which the block takes as many as there are passes.
        enough = n - (n - 1) // self.passes.blocks
        enter, again, begins = named("enter", "again", "begins")
        block = Signal(range(last + 1))
        left = Signal(range(self.apart - 1))  # cycles until the next image is due
        due, soon, waits, expected = named("due", "soon", "waits", "expected")
        m.d.sync += [
            left.eq(Mux(enter, self.apart - 2, left - left.any())),
            due.eq(~left.any() & ~enter),
            soon.eq(left.any() & (left < self.pass_cycles + MARGIN)),
        ]
        m.d.comb += [
            waits.eq(images.w_stream.ready & (arrived >= enough)),
            expected.eq(images.w_stream.ready & (arrived >= enough - n // self.passes.blocks)),
            enter.eq(~feeds & due & waits),
            again.eq(~feeds & self.waiting.complete & ~(due & waits) & ~(soon & expected)),
            begins.eq(enter | again),
            block.eq(Mux(enter, 0, images.r_stream.payload)),
            images.r_stream.ready.eq(again),
        ]
        self.passes.announce(m, begins, block)
        count = Signal(range(n))
        with m.If(starts):
            m.d.sync += count.eq(Mux(count == n - 1, 0, count + 1))
        m.d.sync += feeds.eq(begins | (feeds & ~(starts & (count == n - 1))))
        with m.If(begins):
            m.d.sync += from_ring.eq(again)
        # Its place in the queue is free again a cycle later, when nothing else can take it.
        m.d.comb += [
            images.w_stream.valid.eq(
                delay(m, begins & (block != last), 1, name="comes_back", reset=True)
            ),
            images.w_stream.payload.eq(register(m, block + 1, name="next_block")),
        ]

    def _read(self, m, steps, starts, feeds, from_ring):
        """Send the tokens of a pass to the block."""
        entering, waiting, enters = self.entering, self.waiting, self.enters
        reads_ring = Signal()  # of the token that is being read
        there = Mux(from_ring, waiting.complete, entering.complete)
        m.d.comb += [
            starts.eq(feeds & there & enters.room & (~steps.active | steps.done)),
            steps.start.eq(starts),
            enters.begin.eq(starts),
        ]
        with m.If(starts):
            m.d.sync += reads_ring.eq(from_ring)
        for buffer, mine, reads in (
            (entering, ~from_ring, ~reads_ring), (waiting, from_ring, reads_ring)
        ):
            m.d.comb += [
                buffer.take.eq(starts & mine),
                buffer.release.eq(steps.done & reads),
                buffer.row.eq(steps.input_step),
            ]
        read = Mux(
            delay(m, reads_ring, TokenBuffer.LATENCY, name="was_ring"),
            waiting.elements.as_value(), entering.elements.as_value(),
        )
        travel = self.latency_of(0)
        m.d.comb += [
            enters.valid.eq(delay(m, steps.active, travel, name="valid", reset=True)),
            enters.element.eq(register(m, read.as_signed(), name="element")),
        ]

    def _leave(self, m):
        """Tell apart what leaves the block for good and what comes back."""
        back, o, leaves = self.waiting.i, self.o, self.leaves
        last = self.passes.blocks - 1
        token_ends = ends_on(m, leaves, self.elements, name="leaving_element")
        # Tokens are announced before the elements of the one before have come.
        announced, arriving = (
            self.passes.block_of_tokens(m, ends, name=name) == last
            for name, ends in (("announced", leaves.begin), ("arriving", token_ends))
        )
        m.d.comb += [
            leaves.room.eq(Mux(announced, o.room, back.room)),
            o.begin.eq(leaves.begin & announced),
            back.begin.eq(leaves.begin & ~announced),
            o.valid.eq(leaves.valid & arriving),
            back.valid.eq(leaves.valid & ~arriving),
            o.element.eq(leaves.element),
            back.element.eq(leaves.element),
        ]


def named(*names: str) -> list[Signal]:
    """A signal of one bit for every name."""
    return [Signal(name=name) for name in names]
