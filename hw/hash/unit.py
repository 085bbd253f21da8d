# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""What all hash units share: ports, and credit for tokens so that nothing inside stalls."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from ecoformer.hw.parameters.memory import ParameterMemory, Slots
from ecoformer.hw.parameters.write_port import ParameterWrite
from ecoformer.hw.stream.payloads import Busy, key_shape
from ecoformer.hw.stream.vectors import VectorStream, whole_vectors
from ecoformer.spec.arithmetic import Arithmetic
from ecoformer.spec.config import Config
from ecoformer.spec.memory_map import MemoryMap

__all__ = ["WAITING", "HashUnit"]

BUFFER_LATENCY = 2
"""Cycles from writing a code into the buffer to offering it."""

WAITING = 3
"""Tokens held at once where elements come serially: one arriving, one offered, one in work."""


class HashUnit(wiring.Component):
    """Binary code of every token, in order; subclasses implement the families.

    With separate queries it is the unit of one side (`hw.hash.sides`), to which a token is one of
    its vectors.

    Accepts one token every k cycles; a code is offered ``latency`` cycles after its token was
    taken. Results wait in a buffer as deep as the pipeline, so a stalled output loses nothing.

    Parameters
    ----------
    config : Config
    slots : Slots
        Of the memories of this side.

    Members
    -------
    write : ``In(ParameterWrite)``
    i : ``In(VectorStream({x, slot}))``
        The token to hash, and its parameter slot.
    o : ``Out(stream.Signature(b))``
        Bit r is 1 where h_r = +1. Without a hash, the token itself.
    busy : ``Out(Busy)``
        Which units work.
    """

    scalars: dict[str, int] = {}
    """Scalar parameters that the unit takes, with their widths: ports of their names."""

    def __init__(self, config: Config, slots: Slots):
        self.config = config
        self.slots = slots
        self.bits = Arithmetic(config)
        self.layout = MemoryMap(config)
        x = {"x": key_shape(config)}
        token = data.StructLayout({**whole_vectors(config, x), "slot": slots.bits})
        super().__init__(
            {
                "write": In(ParameterWrite(slots.count)),
                "i": In(VectorStream(token, x)),
                "o": Out(stream.Signature(config.key_width)),
                "busy": Out(Busy(config.family.units)),
                **{name: In(width) for name, width in self.scalars.items()},
            }
        )

    @classmethod
    def fits(cls, config: Config) -> bool:
        """Whether this is a unit for ``config``; of several, the registry takes the first."""
        raise NotImplementedError

    @property
    def pipeline_latency(self) -> int:
        """Cycles from taking a token to its finished code."""
        raise NotImplementedError

    def pipeline(self, m: Module, start: Value) -> tuple[Value, Value]:
        """Hash the token on ``i`` that ``start`` takes; returns a strobe and the code."""
        raise NotImplementedError

    @property
    def latency(self) -> int:
        """Cycles from taking a token to offering its code."""
        return self.pipeline_latency + BUFFER_LATENCY

    @property
    def depth(self) -> int:
        """Tokens that may be in the unit at once."""
        c = self.config
        return -(-self.latency // c.cycles_per_token) + 2 + c.is_full_rate

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config

        # One token every k cycles, as long as the buffer has room for its code.
        m.submodules.codes = codes = SyncFIFOBuffered(width=c.key_width, depth=self.depth)
        inside = Signal(range(self.depth + 1))
        wait = Signal(range(c.cycles_per_token))
        start = Signal()
        leave = Signal()
        # Decided a cycle ahead: only a start can take the room away.
        ready = Signal()
        if not c.is_full_rate:
            longer = wait[1:].any() if len(wait) > 1 else 0
            m.d.sync += ready.eq(~longer & (inside != self.depth) & ~start)
        else:  # leave room for a token that starts in this very cycle
            m.d.sync += ready.eq(inside < self.depth - 1)
        m.d.comb += [
            self.i.ready.eq(ready),
            start.eq(self.i.valid & self.i.ready),
            leave.eq(self.o.valid & self.o.ready),
        ]
        wiring.connect(m, codes.r_stream, wiring.flipped(self.o))
        m.d.sync += inside.eq(inside + start - leave)
        with m.If(start):
            m.d.sync += wait.eq(c.cycles_per_token - 1)
        with m.Elif(wait != 0):
            m.d.sync += wait.eq(wait - 1)

        done, code = self.pipeline(m, start)
        m.d.comb += [codes.w_stream.valid.eq(done), codes.w_stream.payload.eq(code)]
        return m

    def memory(self, m: Module, name: str) -> ParameterMemory:
        """Add the parameter memory ``name``, connected to the write port."""
        region = ParameterMemory(self.layout.regions[name], self.slots)
        m.submodules[name] = region
        wiring.connect(m, wiring.flipped(self.write), region.write)
        return region
