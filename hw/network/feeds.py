# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""How the vectors of a token come to a head's datapath: as elements, or collected."""

from collections.abc import Sequence

from amaranth import *
from amaranth.lib.fifo import SyncFIFOBuffered

from ecoformer.hw.engine.datapath import Datapath
from ecoformer.hw.lib.pipeline import delay
from ecoformer.spec.config import Config

__all__ = ["Feed", "QueueFeed", "SerialFeed", "WholeFeed", "feed_class", "tokens_ahead"]

AHEAD = 2
"""Tokens that may at least have begun before a head takes the first: one is on offer while one
arrives.
"""
MARGIN = 6
"""Cycles from the last element of a token until a head has taken it, if it waits for nothing."""


def tokens_ahead(entering: int, cycles: int) -> int:
    """Tokens that must be allowed to begin before a head takes the first.

    Parameters
    ----------
    entering : int
        Cycles from the announcement of a token to its last element.
    cycles : int
        k: a token may begin every k cycles.
    """
    return max(AHEAD, -(-(entering + MARGIN) // cycles))


class Feed:
    """Hands the vectors of one token after another to a datapath.

    Parameters
    ----------
    path : Datapath
    vectors : sequence of str
        Names of its vectors, in the order in which they come.
    elements : list of Value
        The elements that are there, one of them unless the feed takes whole vectors.
    mine, ends : Value
        It is this head's, and the last one of a token.
    vector : Value
        Which vector it belongs to, one-hot.
    index : Value
        Its place in the vector.
    name : str
        What the names of signals end with.
    ahead : int
        Tokens that may have begun before this head takes the first.
    """

    def __init__(
        self,
        path: Datapath,
        vectors: Sequence[str],
        *,
        elements: list[Value],
        mine: Value,
        ends: Value,
        vector: Value,
        index: Value,
        name: str,
        ahead: int,
    ):
        self.path = path
        self.ahead = ahead
        self.vectors = vectors
        self.elements, self.mine, self.ends = elements, mine, ends
        self.vector, self.index = vector, index
        self.name = name
        self.taken = path.i.valid & path.i.ready

    @classmethod
    def fits(cls, config: Config, ahead: int) -> bool:
        """Whether this feeds datapaths of ``config``; the first of all that does is taken."""
        raise NotImplementedError

    def add_to(self, m: Module) -> None:
        """Drive the token stream of the datapath, but for its tag."""
        raise NotImplementedError


class SerialFeed(Feed):
    """Passes elements on as they come; a token is on offer once its last one has."""

    @classmethod
    def fits(cls, config: Config, ahead: int) -> bool:
        return config.is_serial

    def add_to(self, m: Module) -> None:
        waiting = Signal(range(self.ahead + 1), name=f"waiting_{self.name}")
        m.d.sync += waiting.eq(waiting + self.ends - self.taken)
        m.d.comb += self.path.i.valid.eq(waiting != 0)
        for place, name in enumerate(self.vectors):
            port = getattr(self.path.i, name)
            m.d.comb += [
                port.enable.eq(self.mine & self.vector[place]),
                port.index.eq(self.index),
                port.data.eq(self.elements[0]),
                port.done.eq(self.ends),
            ]


class WholeFeed(Feed):
    """Collects whole vectors; a token waits beside the one on offer until that is taken."""

    @classmethod
    def fits(cls, config: Config, ahead: int) -> bool:
        return ahead == AHEAD

    def _arriving(self, m):
        """Where the vectors of the datapath are, and what has arrived."""
        payload = self.path.i.payload
        targets = [Value.cast(payload[name]) for name in self.vectors]
        width, size = sum(map(len, self.elements)), sum(map(len, targets))
        arriving = Signal(size, name=f"arriving_{self.name}", reset_less=True)
        return targets, width, size, arriving

    def add_to(self, m: Module) -> None:
        targets, width, size, arriving = self._arriving(m)
        offered = Signal(size, name=f"offered_{self.name}")
        complete, moves, there = (
            Signal(name=f"{what}_{self.name}") for what in ("complete", "moves", "there")
        )
        with m.If(self.mine):
            m.d.sync += arriving.eq(Cat(arriving[width:], *self.elements))
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


class QueueFeed(WholeFeed):
    """`WholeFeed` of tokens that come from so far that more of them must wait."""

    @classmethod
    def fits(cls, config: Config, ahead: int) -> bool:
        return True

    def add_to(self, m: Module) -> None:
        targets, width, size, arriving = self._arriving(m)
        queue = SyncFIFOBuffered(width=size, depth=self.ahead)
        m.submodules[f"queue_{self.name}"] = queue
        with m.If(self.mine):
            m.d.sync += arriving.eq(Cat(arriving[width:], *self.elements))
        m.d.comb += [
            queue.w_stream.payload.eq(arriving),
            queue.w_stream.valid.eq(delay(m, self.ends, 1, name=f"ended_{self.name}", reset=True)),
            queue.r_stream.ready.eq(self.path.i.ready),
            self.path.i.valid.eq(queue.r_stream.valid),
            Cat(*targets).eq(queue.r_stream.payload),
        ]


FEEDS = (SerialFeed, WholeFeed, QueueFeed)
"""Special cases come before the general one."""


def feed_class(config: Config, ahead: int) -> type[Feed]:
    """What feeds datapaths of ``config``, where ``ahead`` tokens may wait."""
    return next(feed for feed in FEEDS if feed.fits(config, ahead))
