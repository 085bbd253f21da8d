# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Packets of keys and of queries in flight, in pairs."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ecoformer.hw.attention.sequences import SequenceQueue
from ecoformer.hw.stream.errors import error_number
from ecoformer.hw.stream.payloads import Key
from ecoformer.spec.arithmetic import Arithmetic
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

    Attributes
    ----------
    queries : SequenceQueue
        The packets of queries; its ``current`` are those of the oldest pair alone.
    key, take, room, first, position, bank
        Of the keys, same as in `SequenceQueue`.

    Members
    -------
    waiting : ``Out(1)``, current : ``Out(Sequence)``, release : ``In(1)``
        The oldest complete pair: ``count`` are its keys, ``final`` the index of its last query.
    final_key : ``Out``
        Index of its last key, 0 if it is bad.
    """

    def __init__(self, config: Config, banks: int, claim: str, packets: int = AHEAD):
        self.keys = keys = SequenceQueue(config, banks, claim)
        self.queries = SequenceQueue(config, packets, "first", Key(config, config.wire.inlets[1]))
        self.layout = keys.layout
        self.key, self.take, self.room = keys.key, keys.take, keys.room
        self.first, self.position, self.bank = keys.first, keys.position, keys.bank
        super().__init__(
            {
                "waiting": Out(1),
                "current": Out(self.layout),
                "final_key": Out(Arithmetic(config).count_width),
                "release": In(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.keys = self.keys
        m.submodules.queries = self.queries
        keys, queries = self.keys.current, self.queries.current
        error = Signal()
        m.d.comb += [
            self.waiting.eq(self.keys.waiting & self.queries.waiting),
            self.keys.release.eq(self.release),
            self.queries.release.eq(self.release),
            error.eq(keys.error | queries.error | (keys.user != queries.user)),
            self.current.eq(keys),
            self.current.final.eq(Mux(error, 0, queries.final)),
            self.final_key.eq(Mux(error, 0, keys.final)),
            self.current.error.eq(error),
            self.current.cause.eq(
                Mux(
                    keys.error, keys.cause,
                    Mux(queries.error, queries.cause, error_number(Error.PAIR_MISMATCH)),
                )
            ),
        ]
        return m
