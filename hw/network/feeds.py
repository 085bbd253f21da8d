# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""How the vectors of a token come to a head's datapath: as elements, or collected."""

from collections.abc import Sequence

from amaranth import *

from ecoformer.hw.engine.datapath import Datapath
from ecoformer.spec.config import Config

__all__ = ["AHEAD", "Feed", "SerialFeed", "WholeFeed", "feed_class"]

AHEAD = 2
"""Tokens that may have begun before a head takes the first: one is on offer while one arrives."""


class Feed:
    """Hands the vectors of one token after another to a datapath.

    Parameters
    ----------
    path : Datapath
    vectors : sequence of str
        Names of its vectors, in the order in which they come.
    element : Value
        The element that is there.
    mine, ends : Value
        It is this head's, and the last one of a token.
    vector : Value
        Which vector it belongs to, one-hot.
    index : Value
        Its place in the vector.
    name : str
        What the names of signals end with.
    """

    def __init__(
        self,
        path: Datapath,
        vectors: Sequence[str],
        *,
        element: Value,
        mine: Value,
        ends: Value,
        vector: Value,
        index: Value,
        name: str,
    ):
        self.path = path
        self.vectors = vectors
        self.element, self.mine, self.ends = element, mine, ends
        self.vector, self.index = vector, index
        self.name = name
        self.taken = path.i.valid & path.i.ready

    @classmethod
    def fits(cls, config: Config) -> bool:
        """Whether this feeds datapaths of ``config``; the first of all that does is taken."""
        raise NotImplementedError

    def add_to(self, m: Module) -> None:
        """Drive the token stream of the datapath, but for its tag."""
        raise NotImplementedError


class SerialFeed(Feed):
    """Passes elements on as they come; a token is on offer once its last one has."""

    @classmethod
    def fits(cls, config: Config) -> bool:
        return config.is_serial

    def add_to(self, m: Module) -> None:
        waiting = Signal(range(AHEAD + 1), name=f"waiting_{self.name}")
        m.d.sync += waiting.eq(waiting + self.ends - self.taken)
        m.d.comb += self.path.i.valid.eq(waiting != 0)
        for place, name in enumerate(self.vectors):
            port = getattr(self.path.i, name)
            m.d.comb += [
                port.enable.eq(self.mine & self.vector[place]),
                port.index.eq(self.index),
                port.data.eq(self.element),
                port.done.eq(self.ends),
            ]


class WholeFeed(Feed):
    """Collects whole vectors; a token waits beside the one on offer until that is taken."""

    @classmethod
    def fits(cls, config: Config) -> bool:
        return True

    def add_to(self, m: Module) -> None:
        payload = self.path.i.payload
        targets = [Value.cast(payload[name]) for name in self.vectors]
        width, size = len(self.element), sum(map(len, targets))
        arriving = Signal(size, name=f"arriving_{self.name}", reset_less=True)
        offered = Signal(size, name=f"offered_{self.name}")
        complete, moves, there = (
            Signal(name=f"{what}_{self.name}") for what in ("complete", "moves", "there")
        )
        with m.If(self.mine):
            m.d.sync += arriving.eq(Cat(arriving[width:], self.element))
        m.d.comb += [
            moves.eq(complete & (~there | self.taken)),
            self.path.i.valid.eq(there),
            Cat(*targets).eq(offered),
        ]
        m.d.sync += complete.eq(self.ends | (complete & ~moves))
        with m.If(moves):
            m.d.sync += [offered.eq(arriving), there.eq(1)]
        with m.Elif(self.taken):
            m.d.sync += there.eq(0)


FEEDS = (SerialFeed, WholeFeed)
"""Special cases come before the general one."""


def feed_class(config: Config) -> type[Feed]:
    """What feeds datapaths of ``config``."""
    return next(feed for feed in FEEDS if feed.fits(config))
