# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Attention cores whose queries come by themselves, in packets that make pairs with those of keys.

They differ from the others in one thing: the codes that ask do not come with the keys.
"""

from amaranth import *

from ecoformer.hw.attention.accumulate import AccumulateCore
from ecoformer.hw.attention.banked import BankedCore
from ecoformer.hw.attention.bucketed import BucketedCore
from ecoformer.hw.attention.pair_queue import PairQueue
from ecoformer.hw.attention.systolic import SystolicCore
from ecoformer.spec.config import Config

__all__ = ["CrossAccumulateCore", "CrossBucketedCore", "CrossSystolicCore"]


class CrossCore(BankedCore):
    """`BankedCore` whose ring is filled by another stream.

    While the queries of a pair are worked on, the keys and the queries of the next one arrive.
    """

    @classmethod
    def fits(cls, config: Config) -> bool:
        return config.flow.has_pairs and super().fits(config)

    def _sequence_queue(self):
        return PairQueue(self.config, self.banks, "last")

    def _key_fits(self, m, key, stored, frees):
        """A key brings nothing along."""
        return C(1)

    late_count = 0
    """Queries may come in successive cycles."""

    def _ring(self, m, store, key, sequences, pop, stored):
        query, take = self.queries.payload, self.queries.ready
        fits = query.tag.error | (stored != self.config.ring_tokens)
        m.d.comb += [
            take.eq(self.queries.valid & sequences.queries.room & fits),
            sequences.queries.key.eq(query),
            sequences.queries.take.eq(take),
        ]
        self.pairs = sequences
        return self._keep_codes(
            m, take & ~query.tag.error, query, take & query.tag.error, sequences.queries, pop,
            stored,
        )

    def _lost(self, m, dropped, tail, sequences):
        """Also the queries of a pair that is bad, but not for their sake."""
        pairs, depth = self.pairs, self.config.ring_tokens
        asked = sequences.current.count
        skip = Signal()
        following = Signal(range(2 * depth))
        low = Signal(len(asked) + 1)  # a count is narrower than a place
        m.d.comb += [
            skip.eq(pairs.release & pairs.current.error & ~sequences.current.error),
            low.eq(tail[: len(asked)] + asked),
            following.eq(Cat(low[:-1], tail[len(asked) :] + low[-1])),
        ]
        with m.If(skip):
            m.d.sync += tail.eq(Mux(following >= depth, following - depth, following))
        return dropped + Mux(skip, asked, 0)


class CrossAccumulateCore(CrossCore, AccumulateCore):
    """`AccumulateCore` with queries of their own stream."""


class CrossBucketedCore(CrossCore, BucketedCore):
    """`BucketedCore` with queries of their own stream."""


class CrossSystolicCore(CrossCore, SystolicCore):
    """`SystolicCore` with queries of their own stream."""
