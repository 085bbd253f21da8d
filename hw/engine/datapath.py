# amaranth: UnusedElaboratable=no
"""What is done with the tokens of one packet after another: hash, attention, quotients, words."""

from amaranth import *
from amaranth.lib import memory
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import connect

from ecoformer.hw.attention.bucketed import BucketedCore
from ecoformer.hw.attention.linear import AccumulateCore
from ecoformer.hw.attention.normaliser import Normaliser
from ecoformer.hw.attention.softmax import SoftmaxCore
from ecoformer.hw.attention.systolic import SystolicCore
from ecoformer.hw.attention.systolic_array import is_systolic
from ecoformer.hw.attention.xnor import XnorCore
from ecoformer.hw.hash.families import WAITING, hash_unit
from ecoformer.hw.lib.pipeline import delay
from ecoformer.hw.lib.queue import DeepBuffer
from ecoformer.hw.parameters.memory import ParameterMemory
from ecoformer.hw.stream.output import Collector, Words
from ecoformer.hw.stream.payloads import Key, core_scalars
from ecoformer.spec.arithmetic import SHIFT_WIDTH
from ecoformer.spec.memory_map import MemoryMap
from ecoformer.spec.units import units

__all__ = ["Datapath", "core_class"]

CORES = {
    "accumulate": AccumulateCore, "xnor": XnorCore, "bucketed": BucketedCore,
    "softmax": SoftmaxCore,
}  # fmt: skip

PROBE = {"keep": 1}
"""Attribute of what only benches read. It brings a signal into the Verilog and no further: there it
is logic without a use, which costs nothing."""


def core_class(config):
    """The attention core that an engine has."""
    return SystolicCore if is_systolic(config) else CORES[config.dataflow]


class Datapath:
    """From tokens to words of results, in order; its units are part of its owner's module.

    Parameters
    ----------
    config : Config

    Attributes
    ----------
    homes : list of Component
        What has a port ``write`` for parameters.
    o : ``stream.Signature(Result)``
        Words, of the collector.
    guarded : Signal
        Strobe: a token of a good packet had a denominator that was not positive.
    """

    def __init__(self, config):
        self.config = config
        self.slots = config.parameter_sets + 1
        self.scalars = ParameterMemory(MemoryMap(config).regions["scalars"], self.slots)
        self.hashing = hash_unit(config, self.slots)
        waiting = (self.hashing.depth + WAITING,) if config.is_serial else ()
        self.core = core_class(config)(config, *waiting)
        self.normaliser = Normaliser(config)
        self.collector = Collector(
            config, self.core.latency + self.normaliser.latency, self.core.interval,
            waiting=config.waiting_tokens,
        )  # fmt: skip
        self.homes = [self.scalars, self.hashing]
        self.o = self.collector.o
        self.guarded = self.collector.guarded

    @property
    def latency(self):
        """Cycles beyond 2N·k from an isolated sequence's first token to its last beat.

        The first is the cycle in which the token is offered, the last that in which the beat is.
        """
        c = self.config
        return (
            self.hashing.latency
            + self.core.lead
            + self.core.pause
            - c.cycles_per_token  # the last query needs no slot after it
            + self.core.latency
            + self.normaliser.latency
            + Words(c).latency
        )

    @property
    def full_rate_tokens(self):
        """As of the core."""
        return self.core.full_rate_tokens

    def add(self, m):
        """Add the units to ``m``."""
        m.submodules.scalars = self.scalars
        m.submodules.hashing = self.hashing
        m.submodules.core = self.core
        m.submodules.normaliser = self.normaliser
        m.submodules.collector = self.collector
        connect(m, self.core.blocks, self.normaliser.i)
        connect(m, self.normaliser.o, self.collector.i)

    def feed(self, m, tokens, x=None, v=None):
        """Let them work on the stream ``tokens`` of `hw.stream.receiver.Token`.

        ``x`` and ``v`` are the elements of a serial engine's, as of `hw.stream.receiver.Receiver`.
        """
        m.d.comb += [
            self.collector.launch.eq(self.core.launch),
            self.core.grant.eq(self.collector.grant),
        ]
        if self.config.is_serial:
            connect(m, x, self.hashing.elements)
            connect(m, v, self.core.elements)
        self._join(m, tokens)

    def _join(self, m, tokens):
        """Split a token into what is hashed and what travels beside, and join them again."""
        c, token = self.config, tokens.payload
        scalars, hashing, core = self.scalars, self.hashing, self.core
        start = Signal()
        parameters = dict(zip(MemoryMap(c).scalars, scalars.elements, strict=True))
        if not c.is_serial:
            m.d.comb += hashing.i.payload.x.eq(token.x)
        m.d.comb += [
            hashing.i.payload.slot.eq(token.slot),
            hashing.i.valid.eq(tokens.valid),
            tokens.ready.eq(hashing.i.ready),
            start.eq(tokens.valid & tokens.ready),
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
        if not c.is_serial:
            m.d.comb += companion.v.as_value().eq(
                delay(m, token.v.as_value(), memory_time, name="v")
            )
        m.d.comb += [
            companion.tag.as_value().eq(delay(m, token.tag.as_value(), memory_time, name="tag")),
            *(companion[name].eq(parameters[name]) for name in core_scalars(c)),
            core.keys.valid.eq(hashing.o.valid),
            hashing.o.ready.eq(core.keys.ready),
            pop.eq(core.keys.ready),
        ]
        waiting = self._wait(m, companion.as_value()[c.key_width :], started, pop)
        m.d.comb += key.as_value().eq(Cat(hashing.o.payload, waiting))

        # For benches: the code of every token, as it leaves the hash unit, and which units work.
        trace_valid = Signal(attrs=PROBE)
        trace_code = Signal(c.key_width, attrs=PROBE)
        trace_busy = Signal(len(units(c)), attrs=PROBE)
        m.d.comb += [
            trace_valid.eq(core.keys.ready & ~key.tag.error),
            trace_code.eq(key.code),
            trace_busy.eq(Cat(hashing.busy, core.busy, self.normaliser.busy)),
        ]

    def _wait(self, m, companion, push, pop):
        """What waits for its code: in order, and never more or less than the hash unit admits.

        So there is nothing to check. A memory is read ahead, into a register: no code is there
        sooner than two cycles after what waits for it. At a token every cycle what decides about
        the next token comes from a register, and the many values from block RAM.
        """
        depth = self.hashing.depth
        if self.config.is_full_rate:
            values = len(self.core.keys.payload.v.as_value())
            found = []
            for name, kind, part in (
                ("values", DeepBuffer, companion[:values]),
                ("companions", SyncFIFOBuffered, companion[values:]),
            ):
                m.submodules[name] = buffer = kind(width=len(part), depth=depth)
                m.d.comb += [
                    buffer.w_data.eq(part), buffer.w_en.eq(push), buffer.r_en.eq(pop)
                ]
                found.append(buffer.r_data)
            return Cat(*found)
        m.submodules.companions = places = memory.Memory(
            shape=unsigned(len(companion)), depth=depth, init=[], attrs={"no_rw_check": 1}
        )
        write = places.write_port()
        read = places.read_port()
        head = Signal(range(depth))
        tail = Signal(range(depth))
        following = Signal.like(tail)
        m.d.comb += [
            write.addr.eq(head),
            write.data.eq(companion),
            write.en.eq(push),
            following.eq(Mux(pop, Mux(tail == depth - 1, 0, tail + 1), tail)),
            read.addr.eq(following),
        ]
        with m.If(push):
            m.d.sync += head.eq(Mux(head == depth - 1, 0, head + 1))
        m.d.sync += tail.eq(following)
        return read.data
