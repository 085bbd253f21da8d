# SPDX-License-Identifier: Apache-2.0
"""Sequences in flight and their banks, from a sequence's first key to its last query."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ecoformer.hw.stream.payloads import Key, core_scalars
from ecoformer.spec.arithmetic import Arithmetic
from ecoformer.spec.config import Config

__all__ = ["Sequence", "SequenceQueue"]


class Sequence(data.StructLayout):
    """A complete sequence that waits for its query pass.

    count : number of result tokens, 1 for a bad packet.
    final : index of the last one, count - 1, which is compared with in many cycles.
    offset, or scale and shift : scalars of its set; a packet of queries has none.
    bank, user, error : its bank, its set, and whether its packet was bad.
    cause : its error, where packets make pairs.
    """

    def __init__(self, config: Config, banks: int, payload: data.StructLayout | None = None):
        bits, payload = Arithmetic(config), payload or Key(config)
        super().__init__(
            {
                "count": bits.count_width,
                "final": bits.count_width,
                **{n: bits for n, bits in core_scalars(config).items() if n in payload.members},
                "bank": ceil_log2(banks),
                "user": config.tuser_width,
                "error": 1,
                **config.flow.tag_fields,
            }
        )


class SequenceQueue(wiring.Component):
    """Assigns a bank to every sequence and queues the complete ones.

    Parameters
    ----------
    config : Config
    banks : int
        Sequences that can hold a bank at the same time.
    claim : str
        The token with which a sequence takes its bank: its ``first``, or its ``last`` where a bank
        keeps the finished state.
    payload : StructLayout
        Of a token; `Key` by default.

    Members
    -------
    key : ``In(payload)``, take : ``In(1)``
        The token on offer, and the strobe that takes it; only with ``room``, or with ``release``
        where a bank can be read and replaced in the same cycle.
    room : ``Out(1)``
        A bank is free, or the token on offer needs none.
    first : ``Out(1)``, position : ``Out``, bank : ``Out``
        Of the token on offer: whether it begins a sequence, tokens of its sequence before it, and
        its bank.
    waiting : ``Out(1)``, current : ``Out(Sequence)``
        The oldest complete sequence; it may be queried from the cycle after its last token.
    release : ``In(1)``
        Strobe: ``current`` is finished; its bank is free from the next cycle on.
    """

    def __init__(
        self, config: Config, banks: int, claim: str, payload: data.StructLayout | None = None
    ):
        self.config = config
        self.banks = banks
        self.claim = claim
        self.layout = Sequence(config, banks, payload)
        super().__init__(
            {
                "key": In(payload or Key(config)),
                "take": In(1),
                "room": Out(1),
                "first": Out(1, init=1),
                "position": Out(Arithmetic(config).count_width),
                "bank": Out(ceil_log2(banks)),
                "waiting": Out(1),
                "current": Out(self.layout),
                "release": In(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        banks, tag = self.banks, self.key.tag
        # One entry more than banks: a sequence may arrive in the cycle in which another leaves.
        m.submodules.complete = complete = SyncFIFO(width=self.layout.size, depth=banks + 1)
        entry = Signal(self.layout)
        free = Signal(range(banks + 1), init=banks)
        claims = {"first": self.first, "last": tag.last}[self.claim]
        m.d.comb += [
            self.room.eq(~claims | (free != 0)),
            entry.count.eq(Mux(tag.error, 1, self.position + 1)),
            entry.final.eq(Mux(tag.error, 0, self.position)),
            *(
                entry[name].eq(self.key[name])
                for name in core_scalars(self.config) if name in self.layout.members
            ),
            entry.bank.eq(self.bank),
            entry.user.eq(tag.user),
            entry.error.eq(tag.error),
            *(entry[name].eq(tag[name]) for name in self.config.flow.tag_fields),
            complete.w_stream.payload.eq(entry),
            complete.w_stream.valid.eq(self.take & tag.last),
            self.waiting.eq(complete.r_stream.valid),
            self.current.as_value().eq(complete.r_stream.payload),
            complete.r_stream.ready.eq(self.release),
        ]
        m.d.sync += free.eq(free - (self.take & claims) + self.release)
        with m.If(self.take):
            m.d.sync += [
                self.first.eq(tag.last),
                self.position.eq(Mux(tag.last, 0, self.position + 1)),
            ]
            with m.If(tag.last):
                m.d.sync += self.bank.eq(Mux(self.bank == banks - 1, 0, self.bank + 1))
        return m
