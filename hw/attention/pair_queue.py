# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Packets of keys and of queries in flight, in pairs."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ecoformer.hw.attention.sequences import SequenceQueue
from ecoformer.hw.stream.payloads import Key
from ecoformer.spec.config import Config
from ecoformer.spec.dataflows.cross import AHEAD
from ecoformer.spec.registers import Error

__all__ = ["PairQueue"]


class PairQueue(wiring.Component):
    """`SequenceQueue` of packets of keys, each of which waits for one of queries.

    A pair is bad if one of its packets is, or if they ask for different sets. Of several causes the
    keys' comes first, then the queries'.

    Parameters
    ----------
    config : Config
    banks, claim
        Of the keys, same as in `SequenceQueue`.
    packets : int
        Packets of queries that may be there at once.

    Members
    -------
    key, take, room, first, position, bank
        Of the keys, same as in `SequenceQueue`.
    waiting : ``Out(1)``, current : ``Out(Sequence)``, release : ``In(1)``
        The oldest complete pair: ``count`` are its keys, ``final`` the index of its last query.
    final_key : ``Out``
        Index of its last key, 0 if it is bad.
    query : ``In(Key)``, take_query : ``In(1)``, query_room : ``Out(1)``
        The query on offer; taken only with ``query_room``.
    query_first, query_position, query_bank : ``Out``
        Same as ``first``, ``position`` and ``bank``, of the query on offer.
    asked : ``Out(Sequence)``
        The queries of the oldest pair: ``count``, ``bank`` and ``error`` are theirs alone.
    """

    def __init__(self, config: Config, banks: int, claim: str, packets: int = AHEAD):
        query = Key(config, config.wire.inlets[1])
        self.keys = SequenceQueue(config, banks, claim)
        self.queries = SequenceQueue(config, packets, "first", query)
        self.layout = self.keys.layout
        keys, queries = self.keys.signature.members, self.queries.signature.members
        super().__init__(
            {
                **{name: keys[name] for name in ("key", "take", "room", "first", "position")},
                **{name: keys[name] for name in ("bank", "waiting", "current", "release")},
                "final_key": keys["position"],
                "query": queries["key"],
                "take_query": In(1),
                "query_room": Out(1),
                "query_first": Out(1),
                "query_position": queries["position"],
                "query_bank": queries["bank"],
                "asked": queries["current"],
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.keys = keys = self.keys
        m.submodules.queries = queries = self.queries
        for name in ("key", "take"):
            m.d.comb += getattr(keys, name).eq(getattr(self, name))
        for name in ("room", "first", "position", "bank"):
            m.d.comb += getattr(self, name).eq(getattr(keys, name))
        error = Signal()
        m.d.comb += [
            queries.key.eq(self.query),
            queries.take.eq(self.take_query),
            self.query_room.eq(queries.room),
            self.query_first.eq(queries.first),
            self.query_position.eq(queries.position),
            self.query_bank.eq(queries.bank),
            self.asked.eq(queries.current),
            self.waiting.eq(keys.waiting & queries.waiting),
            keys.release.eq(self.release),
            queries.release.eq(self.release),
            error.eq(
                keys.current.error | queries.current.error
                | (keys.current.user != queries.current.user)
            ),
            self.current.eq(keys.current),
            self.current.final.eq(Mux(error, 0, queries.current.final)),
            self.final_key.eq(Mux(error, 0, keys.current.final)),
            self.current.error.eq(error),
            self.current.cause.eq(
                Mux(
                    keys.current.error, keys.current.cause,
                    Mux(queries.current.error, queries.current.cause, Error.PAIR_MISMATCH),
                )
            ),
        ]
        return m
