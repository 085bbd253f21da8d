# SPDX-License-Identifier: Apache-2.0
"""All blocks of a network in the hardware of one."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ecoformer.hw.lib.loading import LoadChain, load_ports
from ecoformer.hw.network.block import Block
from ecoformer.hw.network.link import TokenLink
from ecoformer.hw.network.passes import Passes
from ecoformer.hw.network.ring import Ring
from ecoformer.spec.network.image import NetworkImage
from ecoformer.spec.network.transformer import Transformer

__all__ = ["SharedBlock"]


class SharedBlock(wiring.Component):
    """A block whose memories hold the parameters of all blocks, and what sends tokens around it.

    Parameters
    ----------
    design : Transformer
    image : NetworkImage

    Members
    -------
    i, o : ``In(TokenLink(residual_width))``, ``Out(TokenLink(residual_width))``
        Before the first block of the network, and behind the last.
    load, loaded : ``In(LoadLink)``, ``Out(LoadLink)``
        If the design is loadable.
    """

    def __init__(self, design: Transformer, image: NetworkImage):
        self.design = design
        self.passes = Passes(design.depth, design.tokens)
        self.block = Block(
            design, image, range(design.depth), Ring.latency_of(design.width), self.passes
        )
        self.ring = Ring(
            self.passes, design.width, design.residual_width, self.block.tokens,
            design.steady_block_cycles, design.steady_packet,
        )
        link = TokenLink(design.residual_width)
        super().__init__({"i": In(link), "o": Out(link), **load_ports(design.loadable)})

    @property
    def tokens(self) -> int:
        """Tokens that may be in the ring at once."""
        return self.ring.tokens + self.block.tokens

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.ring = ring = self.ring
        m.submodules.block = block = self.block
        connect(m, flipped(self.i), ring.i)
        connect(m, ring.enters, block.i)
        connect(m, block.o, ring.leaves)
        connect(m, ring.o, flipped(self.o))
        chain = LoadChain(m, self)
        chain.through(block)
        chain.end()
        return m
