# amaranth: UnusedElaboratable=no
"""The engine: receive, hash, accumulate and query, normalise, send."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ecoformer.hw.engine.datapath import Datapath
from ecoformer.hw.engine.workers import Workers
from ecoformer.hw.parameters.memory import IN_FLIGHT, ParameterWord, SlotTable, WriteDecoder
from ecoformer.hw.stream.output import Beat, Sender
from ecoformer.hw.stream.receiver import InputBeat, Receiver
from ecoformer.spec.memory_map import MemoryMap
from ecoformer.spec.registers import Error

__all__ = ["Engine"]


class Engine(wiring.Component):
    """Attention of packets of tokens, with stream ports.

    Between receiver and sender lies a datapath; or, with ``engines`` above 1, as many that take
    turns.

    Parameters
    ----------
    config : Config

    Members
    -------
    i : ``In(stream.Signature(InputBeat))``
    o : ``Out(stream.Signature(Beat))``
    write : ``In(ParameterWord)``
        Goes to the shadow.
    commit, commit_set : ``In``
        As in :class:`~hw.parameters.memory.SlotTable`.
    soft_reset : ``In(1)``
        Strobe: give up the packet being received, see :class:`~hw.stream.receiver.Receiver`.
    next_set : ``In(32)``
        Set of a packet whose first beat is taken; ignored unless ``tuser_width`` is 0.
    shadow_ready, busy : ``Out(1)``
    events : ``Out``
        Strobes for the error flags and performance counters.
    """

    def __init__(self, config):
        self.config = config
        self.datapath = Workers(config) if config.engines > 1 else Datapath(config)
        super().__init__(
            {
                "i": In(stream.Signature(InputBeat(config))),
                "o": Out(stream.Signature(Beat(config))),
                "write": In(ParameterWord()),
                "commit": In(1),
                "commit_set": In(32),
                "soft_reset": In(1),
                "next_set": In(32),
                "shadow_ready": Out(1),
                "busy": Out(1),
                "events": Out(
                    data.StructLayout(
                        {
                            "errors": len(Error),
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
    def latency(self):
        """Cycles beyond 2N·k of an isolated sequence, its first and its last beat counted.

        Exact for the linear core when no beat waits: N tokens take ``2·N·k + latency`` cycles.
        """
        return self.config.input_beats + self.datapath.latency

    def elaborate(self, platform):
        m = Module()
        c = self.config
        datapath = self.datapath
        m.submodules.receiver = receiver = Receiver(c)
        m.submodules.slots = slots = SlotTable(
            c.parameter_sets, c.tuser_width or 32, c.engines * (IN_FLIGHT + 2 * c.waiting_tokens)
        )
        connect(m, flipped(self.i), receiver.i)
        datapath.add(m)
        m.submodules.sender = sender = Sender(c)
        connect(m, datapath.o, sender.i)
        connect(m, sender.o, flipped(self.o))

        m.submodules.decoder = decoder = WriteDecoder(
            MemoryMap(c), c.parameter_sets + 1, hops=int(c.is_full_rate)
        )
        connect(m, flipped(self.write), decoder.i)
        m.d.comb += decoder.slot.eq(slots.shadow)
        for home in datapath.homes:
            connect(m, decoder.o, home.write)
        m.d.comb += [
            slots.user.eq(receiver.user if c.tuser_width else self.next_set),
            receiver.abort.eq(self.soft_reset),
            receiver.slot.eq(slots.slot),
            receiver.known.eq(slots.known),
            slots.begin.eq(receiver.begin),
            slots.commit.eq(self.commit),
            slots.commit_set.eq(self.commit_set),
            self.shadow_ready.eq(slots.ready),
            self.busy.eq(slots.busy),
        ]
        elements = (receiver.x, receiver.v) if c.is_serial else ()
        datapath.feed(m, receiver.o, *elements)

        sent = self.o.valid & self.o.ready & self.o.payload.last
        m.d.comb += [
            slots.finish.eq(sent),
            self.events.errors.eq(receiver.errors | datapath.guarded << Error.DENOMINATOR),
            self.events.TOKENS.eq(sender.delivered),
            self.events.SEQUENCES.eq(sent & ~self.o.payload.error),
            self.events.BUSY.eq(slots.busy),
            self.events.STARVED.eq(receiver.starved),
            self.events.BLOCKED.eq(self.o.valid & ~self.o.ready),
        ]
        return m
