# SPDX-License-Identifier: Apache-2.0
"""Packets of two streams in pairs, at the input: when one may begin, and what was wrong with it."""

from functools import reduce
from operator import or_

from amaranth import *
from amaranth.lib.wiring import In

from ecoformer.hw.stream.errors import error_number
from ecoformer.hw.stream.receiver import Opening, Receiver
from ecoformer.spec.config import Config

__all__ = ["PairReceiver"]


class PairReceiver(Receiver):
    """`Receiver` of one of two streams whose packets make pairs.

    An error is not counted here, because a pair has one at most: its number goes with the token
    that ends the packet, as ``tag.cause``.

    Members
    -------
    admit : ``In(1)``
        A packet may begin; a register.
    """

    more_ports = {"admit": In(1)}

    @classmethod
    def fits(cls, config: Config) -> bool:
        return config.flow.has_pairs

    def _open(self, m, take, in_packet, token_beat, unknown, count, full):
        return Opening([in_packet | self.admit], {}, count, full, {})

    def _close(self, m, ends, in_packet, discard, found, opening, kept, room):
        tag = self.o.payload.tag
        cause = Signal(tag.cause.shape())
        numbers = (
            strobe.replicate(len(cause)) & error_number(error) for error, strobe in found.items()
        )
        with m.If(reduce(or_, found.values())):
            m.d.sync += cause.eq(reduce(or_, numbers))
        with m.If(room):
            m.d.sync += tag.cause.eq(cause)
