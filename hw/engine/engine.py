# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The engine: receive, hash, accumulate and query, normalise, send."""

from functools import reduce
from operator import or_

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ecoformer.hw.engine.workers import datapath_class
from ecoformer.hw.parameters.slots import IN_FLIGHT, SlotTable
from ecoformer.hw.parameters.write_port import ParameterWord, WriteDecoder
from ecoformer.hw.stream.errors import error_flag
from ecoformer.hw.stream.receiver import InputBeat
from ecoformer.hw.stream.receivers import receiver_class
from ecoformer.hw.stream.sender import Beat, Sender
from ecoformer.spec.config import Config
from ecoformer.spec.memory_map import MemoryMap
from ecoformer.spec.registers import Error, flag_bits

__all__ = ["Engine"]

PREFIXES = ("", "query_")
"""What the names of what belongs to a stream begin with."""


class Engine(wiring.Component):
    """Attention of packets of tokens, with stream ports.

    Between receiver and sender lies a datapath, or ``engines`` of them that take turns.

    Parameters
    ----------
    config : Config

    Members
    -------
    i : ``In(stream.Signature(InputBeat))``
    queries : ``In(stream.Signature(InputBeat))``
        Where queries come by themselves.
    o : ``Out(stream.Signature(Beat))``
    write : ``In(ParameterWord)``
        For the shadow slot.
    commit, commit_set : ``In``
        Same as in :class:`~hw.parameters.slots.SlotTable`.
    soft_reset : ``In(1)``
        Strobe: abort the packet being received, see :class:`~hw.stream.receiver.Receiver`.
    next_set : ``In(32)``
        Set of a packet whose first beat is taken; ignored unless ``tuser_width`` is 0.
    selected : ``In(1)``, begin : ``Out(1)``
        Only where sets wait in a queue: one does, ``next_set``; a packet takes it.
    shadow_ready, busy : ``Out(1)``
    events : ``Out``
        Strobes for the error flags and performance counters.
    """

    def __init__(self, config: Config):
        self.config = config
        self.datapath = self._datapath()
        self.ports = ("i", "queries")[: len(config.wire.inlets)]
        super().__init__(
            {
                **{port: In(stream.Signature(InputBeat(config))) for port in self.ports},
                "o": Out(stream.Signature(Beat(config))),
                "write": In(ParameterWord()),
                "commit": In(1),
                "commit_set": In(32),
                "soft_reset": In(1),
                "next_set": In(32),
                **({"selected": In(1), "begin": Out(1)} if config.wire.set_ports else {}),
                "shadow_ready": Out(1),
                "busy": Out(1),
                "events": Out(
                    data.StructLayout(
                        {
                            "errors": flag_bits(config),
                            "TOKENS": 1,
                            "SEQUENCES": 1,
                            "BUSY": 1,
                            "STARVED": 1,
                            "BLOCKED": 1,
                        }
                    )
                ),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles beyond ``passes``·N·k of an isolated sequence, first and last beat included.

        Exact for linear cores without back-pressure. ``passes`` is `Flow.passes`. A beat is in when
        it is taken: the first one waits `Flow.lookup_cycles` before.
        """
        return self.config.input_beats + self.datapath.latency

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.datapath = datapath = self.datapath
        receivers = [receiver_class(c)(c, inlet) for inlet in c.wire.inlets]
        for prefix, receiver in zip(PREFIXES, receivers):
            m.submodules[f"{prefix}receiver"] = receiver
        m.submodules.slots = slots = self._slot_table()
        for port, receiver in zip(self.ports, receivers, strict=True):
            connect(m, flipped(getattr(self, port)), receiver.i)
            connect(m, receiver.o, getattr(datapath, port))
        m.submodules.sender = sender = Sender(c)
        connect(m, datapath.o, sender.i)
        connect(m, sender.o, flipped(self.o))

        m.submodules.decoder = decoder = WriteDecoder(
            MemoryMap(c), c.parameter_sets + 1, hops=int(c.is_full_rate)
        )
        connect(m, flipped(self.write), decoder.i)
        m.d.comb += decoder.slot.eq(slots.shadow)
        connect(m, decoder.o, datapath.write)
        for prefix, receiver in zip(PREFIXES, receivers):
            m.d.comb += [
                getattr(slots, f"{prefix}user").eq(
                    receiver.user if c.tuser_width else self.next_set
                ),
                receiver.abort.eq(self.soft_reset),
                receiver.slot.eq(getattr(slots, f"{prefix}slot")),
                receiver.known.eq(getattr(slots, f"{prefix}known")),
                getattr(slots, f"{prefix}begin").eq(receiver.begin),
            ]
        m.d.comb += [
            slots.commit.eq(self.commit),
            slots.commit_set.eq(self.commit_set),
            self.shadow_ready.eq(slots.ready),
            self.busy.eq(slots.busy),
        ]

        for name in c.wire.set_ports:
            m.d.comb += [
                getattr(receiver, name).eq(getattr(self, name)), self.begin.eq(receiver.begin)
            ]

        sent = self.o.valid & self.o.ready & self.o.payload.last
        m.d.comb += [
            slots.finish.eq(sent),
            self.events.errors.eq(
                self._errors(m, slots, receivers)
                | error_flag(Error.DENOMINATOR, datapath.guarded)
            ),
            self.events.TOKENS.eq(sender.delivered),
            self.events.SEQUENCES.eq(sent & ~self.o.payload.error),
            self.events.BUSY.eq(slots.busy),
            self.events.STARVED.eq(reduce(or_, (receiver.starved for receiver in receivers))),
            self.events.BLOCKED.eq(self.o.valid & ~self.o.ready),
        ]
        return m

    def _datapath(self):
        """What lies between receiver and sender."""
        return datapath_class(self.config)(self.config)

    def _slot_table(self):
        """The slots of the sets, and the packets in flight."""
        c = self.config
        return SlotTable(
            c.parameter_sets, c.wire.set_bits, c.engines * (IN_FLIGHT + 2 * c.waiting_tokens)
        )

    def _errors(self, m, slots, receivers):
        """Strobes of the errors of packets, each as it is found."""
        return receivers[0].errors
