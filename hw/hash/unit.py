# amaranth: UnusedElaboratable=no
"""What every hash unit has: its ports, and credit for tokens so that nothing inside stalls."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ecoformer.hw.lib.element_queue import ElementWrite
from ecoformer.hw.parameters.memory import ParameterMemory, ParameterWrite
from ecoformer.hw.stream.payloads import Busy, key_shape
from ecoformer.spec.arithmetic import Arithmetic
from ecoformer.spec.memory_map import MemoryMap
from ecoformer.spec.units import hash_units

__all__ = ["HashUnit"]

BUFFER_LATENCY = 2
"""Cycles from writing a code into the buffer to its being offered."""


class HashUnit(wiring.Component):
    """Binary code of every token, in order; subclasses are the families.

    Accepts one token every k cycles; a code is offered ``latency`` cycles after its token was
    taken. Results wait in a buffer as deep as the pipeline, so a stalled output loses nothing.

    Parameters
    ----------
    config : Config
    slots : int
        Parameter slots.

    Members
    -------
    write : ``In(ParameterWrite)``
    i : ``In(stream.Signature({x: what is hashed, slot}))``
    elements : ``In(ElementWrite)``
        The x of every token, before it is offered, in a serial engine; ``i`` has none then.
    o : ``Out(stream.Signature(b))``
        Bit r is 1 where h_r = +1; or the token itself.
    busy : ``Out(Busy)``
        Which units of the family work.
    """

    def __init__(self, config, slots, ports=None):
        self.config = config
        self.slots = slots
        self.bits = Arithmetic(config)
        self.layout = MemoryMap(config)
        token = {"slot": ceil_log2(slots)}
        elements = {}
        if config.is_serial:
            shape = signed(config.token_width)
            elements["elements"] = In(ElementWrite(config.head_dim, shape))
        else:
            token = {"x": key_shape(config), **token}
        super().__init__(
            {
                "write": In(ParameterWrite(slots)),
                "i": In(stream.Signature(data.StructLayout(token))),
                **elements,
                "o": Out(stream.Signature(config.key_width)),
                "busy": Out(Busy(hash_units(config))),
                **(ports or {}),
            }
        )

    @property
    def pipeline_latency(self):
        """Cycles from taking a token to its finished code."""
        raise NotImplementedError

    def pipeline(self, m, start):
        """Hash the token on ``i`` that ``start`` takes; returns the strobe and the code."""
        raise NotImplementedError

    @property
    def latency(self):
        """Cycles from taking a token to offering its code."""
        return self.pipeline_latency + BUFFER_LATENCY

    @property
    def depth(self):
        """Tokens that may be inside at once."""
        c = self.config
        return -(-self.latency // c.cycles_per_token) + 2 + c.is_full_rate

    def elaborate(self, platform):
        m = Module()
        c = self.config

        # One token every k cycles, as long as its code will find room in the buffer.
        m.submodules.codes = codes = SyncFIFOBuffered(width=c.key_width, depth=self.depth)
        inside = Signal(range(self.depth + 1))
        wait = Signal(range(c.cycles_per_token))
        start = Signal()
        leave = Signal()
        # Known a cycle ahead: only a start can take the room away.
        ready = Signal()
        if not c.is_full_rate:
            longer = wait[1:].any() if len(wait) > 1 else 0
            m.d.sync += ready.eq(~longer & (inside != self.depth) & ~start)
        else:  # one may start in this cycle, too, and has its place
            m.d.sync += ready.eq(inside < self.depth - 1)
        m.d.comb += [
            self.i.ready.eq(ready),
            start.eq(self.i.valid & self.i.ready),
            leave.eq(self.o.valid & self.o.ready),
            self.o.valid.eq(codes.r_rdy),
            self.o.payload.eq(codes.r_data),
            codes.r_en.eq(self.o.ready),
        ]
        m.d.sync += inside.eq(inside + start - leave)
        with m.If(start):
            m.d.sync += wait.eq(c.cycles_per_token - 1)
        with m.Elif(wait != 0):
            m.d.sync += wait.eq(wait - 1)

        done, code = self.pipeline(m, start)
        m.d.comb += [codes.w_en.eq(done), codes.w_data.eq(code)]
        return m

    def memory(self, m, name):
        """The parameter memory ``name``, on the write port."""
        region = ParameterMemory(self.layout.regions[name], self.slots)
        m.submodules[name] = region
        wiring.connect(m, wiring.flipped(self.write), region.write)
        return region
