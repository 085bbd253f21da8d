# SPDX-License-Identifier: Apache-2.0
"""Contexts at the input: how many tokens each has, and which are lost."""

from functools import reduce
from operator import or_

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from ecoformer.hw.lib.pipeline import below
from ecoformer.hw.stream.receiver import Opening, Receiver
from ecoformer.spec.arithmetic import Arithmetic
from ecoformer.spec.config import Config
from ecoformer.spec.registers import Error
from ecoformer.spec.wire import Inlet

__all__ = ["ContextReceiver", "ContextTable"]


class ContextTable(wiring.Component):
    """Tokens of every context so far; 0 for one that is lost or was never begun.

    An entry is looked up while the first beat of a packet waits: ``found`` comes a cycle after
    ``offered``, ``ready`` another one later. After reset every entry is cleared, one per cycle, and
    nothing is looked up until then.

    Parameters
    ----------
    config : Config

    Members
    -------
    offered : ``In(1)``, context : ``In``
        The first beat of a packet for this context is offered; both stay until it is ``taken``.
    taken : ``In(1)``
    found : ``Out(1)``, count : ``Out``
        The entry is on ``count`` in this cycle.
    ready : ``Out(1)``
        It has been found; the beat may be taken. A register.
    close : ``In(1)``, closed : ``In``, left : ``In``
        Make ``left`` the entry of context ``closed``; before the next look-up begins.
    spoil : ``In(1)``
        With ``close``: the context is lost after all, a cycle later.
    """

    def __init__(self, config: Config):
        self.config = config
        count, context = Arithmetic(config).count_width, config.wire.tid_width
        super().__init__(
            {
                "offered": In(1),
                "context": In(context),
                "taken": In(1),
                "found": Out(1),
                "count": Out(count),
                "ready": Out(1),
                "close": In(1),
                "closed": In(context),
                "left": In(count),
                "spoil": In(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        address_bits = max(1, len(self.context))  # a memory of one entry has no address
        m.submodules.entries = entries = memory.Memory(
            shape=self.count.shape(), depth=1 << address_bits, init=[], attrs={"no_rw_check": 1}
        )
        read, write = entries.read_port(), entries.write_port()
        sweep = Signal(address_bits + 1)
        lost = Signal(address_bits, reset_less=True)
        spoiled = Signal()
        clearing, zeroing = Signal(), Signal()
        m.d.comb += [
            clearing.eq(~sweep[-1]),
            zeroing.eq(clearing | spoiled),
            read.addr.eq(self.context),
            self.count.eq(read.data),
            write.addr.eq(Mux(zeroing, Mux(clearing, sweep, lost), self.closed)),
            write.data.eq(Mux(zeroing, 0, self.left)),
            write.en.eq(zeroing | self.close),
        ]
        m.d.sync += [
            sweep.eq(sweep + clearing),
            lost.eq(self.closed),
            spoiled.eq(self.spoil),
            self.found.eq(self.offered & ~zeroing & ~self.found & ~self.ready),
            self.ready.eq((self.found | self.ready) & ~self.taken),
        ]
        return m


class ContextReceiver(Receiver):
    """`Receiver` whose packets continue contexts.

    A packet without ``begin`` goes on where its context's last packet ended. A bad packet leaves
    its context lost. The first beat of a packet waits two cycles for the look-up.
    """

    def __init__(self, config: Config, inlet: Inlet | None = None):
        super().__init__(config, inlet)
        self.table = ContextTable(config)

    @classmethod
    def fits(cls, config: Config) -> bool:
        return config.flow.has_contexts

    def _open(self, m, take, in_packet, token_beat, unknown, count, full):
        c, beat, table = self.config, self.i.payload, self.table
        m.submodules.contexts = table
        first, fresh, lost = Signal(), Signal(), Signal()
        none, absent = Signal(), Signal()
        m.d.comb += [
            first.eq(~in_packet),
            fresh.eq(first & beat.begin),
            table.offered.eq(self.i.valid & first),
            table.context.eq(beat.context),
            table.taken.eq(take),
            lost.eq(token_beat & first & self.known & (absent | (none & ~beat.begin))),
        ]
        with m.If(table.found):
            m.d.sync += [
                count.eq(table.count),
                full.eq(table.count == c.max_tokens),
                none.eq(table.count == 0),
                absent.eq(~below(beat.context, c.contexts)),
            ]
        with m.If(take & fresh):  # unless that beat is a token already, which is counted below
            m.d.sync += [count.eq(0), full.eq(0)]
        tokens = Mux(fresh, 0, count)
        return Opening(
            admits=[in_packet | table.ready],
            errors={Error.CONTEXT_LOST: lost},
            count=tokens,
            full=full & ~fresh & ~unknown,
            fields={"count": tokens + 1},
        )

    def _close(self, m, ends, in_packet, discard, found, opening, kept, room):
        # A soft reset comes late in its cycle, so it is written in the next.
        wrong = (strobe for error, strobe in found.items() if error is not Error.ABORTED)
        m.d.comb += [
            self.table.close.eq(ends),
            self.table.closed.eq(Mux(in_packet, kept["context"], self.i.payload.context)),
            self.table.left.eq(
                Mux(reduce(or_, wrong, discard), 0, opening.count + 1)
            ),
            self.table.spoil.eq(ends & found[Error.ABORTED]),
        ]
