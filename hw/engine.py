# amaranth: UnusedElaboratable=no
"""The engine: receive, hash, accumulate and query, normalise, send."""

from amaranth import *
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ecoformer.arithmetic import SHIFT_WIDTH
from ecoformer.layout import Layout
from ecoformer.registers import Error
from hw.attention import AccumulateCore
from hw.bucketed import BucketedCore
from hw.hashing import hash_unit
from hw.input import InputBeat, Receiver
from hw.normaliser import Normaliser
from hw.output import Beat, Collector, Sender, Words
from hw.parameters import ParameterMemory, ParameterWrite, SlotTable
from hw.pipeline import delay, register
from hw.softmax import SoftmaxCore
from hw.tokens import Key, core_scalars
from hw.xnor import XnorCore

__all__ = ["Engine"]

CORES = {
    "accumulate": AccumulateCore, "xnor": XnorCore, "bucketed": BucketedCore,
    "softmax": SoftmaxCore,
}  # fmt: skip

SHALLOW = 16
"""Places of a memory made of look-up tables."""


class Engine(wiring.Component):
    """Attention of packets of tokens, with stream ports.

    Parameters
    ----------
    config : Config

    Members
    -------
    i : ``In(stream.Signature(InputBeat))``
    o : ``Out(stream.Signature(Beat))``
    write : ``In(ParameterWrite)``
        Its slot is ignored: words go to the shadow.
    commit, commit_set : ``In``
        As in :class:`~hw.parameters.SlotTable`.
    soft_reset : ``In(1)``
        Strobe: give up the packet being received, see :class:`~hw.input.Receiver`.
    next_set : ``In(32)``
        Set of a packet whose first beat is taken; ignored unless ``tuser_width`` is 0.
    shadow_ready, busy : ``Out(1)``
    events : ``Out``
        Strobes for the error flags and performance counters.
    """

    def __init__(self, config):
        self.config = config
        self.slots = config.parameter_sets + 1
        self.hashing = hash_unit(config, self.slots)
        self.core = CORES[config.dataflow](config)
        self.normaliser = Normaliser(config)
        self.collector = Collector(
            config, self.core.latency + self.normaliser.latency, self.core.interval
        )
        super().__init__(
            {
                "i": In(stream.Signature(InputBeat(config))),
                "o": Out(stream.Signature(Beat(config))),
                "write": In(ParameterWrite(self.slots)),
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
        c = self.config
        return (
            c.input_beats
            + self.hashing.latency
            + self.core.lead
            + self.core.pause
            - c.cycles_per_token  # the last query needs no slot after it
            + self.core.latency
            + self.normaliser.latency
            + Words(c).latency
        )

    def elaborate(self, platform):
        m = Module()
        c = self.config
        m.submodules.receiver = receiver = Receiver(c)
        m.submodules.slots = slots = SlotTable(c.parameter_sets, c.tuser_width or 32)
        m.submodules.scalars = scalars = ParameterMemory(
            Layout(c).regions["scalars"], self.slots
        )
        m.submodules.hashing = hashing = self.hashing
        m.submodules.core = core = self.core
        m.submodules.normaliser = self.normaliser
        m.submodules.collector = collector = self.collector
        m.submodules.sender = sender = Sender(c)
        connect(m, flipped(self.i), receiver.i)
        connect(m, core.blocks, self.normaliser.i)
        connect(m, self.normaliser.o, collector.i)
        connect(m, collector.o, sender.i)
        connect(m, sender.o, flipped(self.o))

        # Written a cycle late, because the ways to all memories are long; a COMMIT is later still.
        enable = Signal()
        m.d.sync += enable.eq(self.write.enable)
        late = {
            name: register(m, getattr(self.write, name), name=f"write_{name}")
            for name in ("region", "row", "word", "data")
        }
        late["slot"] = register(m, slots.shadow, name="write_slot")
        for home in (scalars, hashing):
            m.d.comb += home.write.enable.eq(enable)
            m.d.comb += [getattr(home.write, name).eq(value) for name, value in late.items()]
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
            collector.launch.eq(core.launch),
            core.grant.eq(collector.grant),
        ]
        self._join(m, receiver, scalars, hashing, core)

        sent = self.o.valid & self.o.ready & self.o.payload.last
        m.d.comb += [
            slots.finish.eq(sent),
            self.events.errors.eq(receiver.errors | collector.guarded << Error.DENOMINATOR),
            self.events.TOKENS.eq(sender.delivered),
            self.events.SEQUENCES.eq(sent & ~self.o.payload.error),
            self.events.BUSY.eq(slots.busy),
            self.events.STARVED.eq(receiver.starved),
            self.events.BLOCKED.eq(self.o.valid & ~self.o.ready),
        ]
        return m

    def _join(self, m, receiver, scalars, hashing, core):
        """Split a token into what is hashed and what travels beside, and join them again."""
        c, token = self.config, receiver.o.payload
        start = Signal()
        parameters = dict(zip(Layout(c).scalars, scalars.elements, strict=True))
        m.d.comb += [
            hashing.i.payload.x.eq(token.x),
            hashing.i.payload.slot.eq(token.slot),
            hashing.i.valid.eq(receiver.o.valid),
            receiver.o.ready.eq(hashing.i.ready),
            start.eq(receiver.o.valid & receiver.o.ready),
            scalars.slot.eq(token.slot),
        ]
        if c.hash == "rbf":
            m.d.comb += hashing.shift.eq(parameters["shift"][:SHIFT_WIDTH])

        # The scalars arrive after the token, with the token's delayed companions.
        companion = Signal(Key(c))
        memory_time = ParameterMemory.LATENCY
        started = delay(m, start, memory_time, name="started", reset=True)
        pop = Signal()
        key = core.keys.payload
        m.d.comb += [
            companion.v.as_value().eq(delay(m, token.v.as_value(), memory_time, name="v")),
            companion.tag.as_value().eq(delay(m, token.tag.as_value(), memory_time, name="tag")),
            *(companion[name].eq(parameters[name]) for name in core_scalars(c)),
            core.keys.valid.eq(hashing.o.valid),
            hashing.o.ready.eq(core.keys.ready),
            pop.eq(core.keys.ready & hashing.o.valid),
        ]
        waiting = self._wait(m, companion.as_value()[c.key_width :], started, pop)
        m.d.comb += key.as_value().eq(Cat(hashing.o.payload, waiting))

        # For benches: the code of every token, as it leaves the hash unit.
        trace_valid = Signal(attrs={"keep": 1})
        trace_code = Signal(c.key_width, attrs={"keep": 1})
        m.d.comb += [
            trace_valid.eq(core.keys.valid & core.keys.ready & ~key.tag.error),
            trace_code.eq(key.code),
        ]

    def _wait(self, m, companion, push, pop):
        """What waits for its code: in order, and never more or less than the hash unit admits.

        So there is nothing to check. A few places are read where they lie; many are better kept in
        block RAM, which wants the address a cycle before.
        """
        depth = self.hashing.depth
        m.submodules.companions = places = memory.Memory(
            shape=unsigned(len(companion)), depth=depth, init=[]
        )
        write = places.write_port()
        read = places.read_port(domain="comb" if depth <= SHALLOW else "sync")
        head = Signal(range(depth))
        tail = Signal(range(depth))
        following = Signal.like(tail)
        m.d.comb += [
            write.addr.eq(head),
            write.data.eq(companion),
            write.en.eq(push),
            following.eq(Mux(pop, Mux(tail == depth - 1, 0, tail + 1), tail)),
            read.addr.eq(tail if depth <= SHALLOW else following),
        ]
        with m.If(push):
            m.d.sync += head.eq(Mux(head == depth - 1, 0, head + 1))
        m.d.sync += tail.eq(following)
        return read.data
