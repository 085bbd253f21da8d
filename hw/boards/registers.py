# SPDX-License-Identifier: Apache-2.0
"""Register accesses of a host: those of the engine over AXI4-Lite, and the board's own."""

from functools import reduce
from operator import or_

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ecoformer.hw.lib.axi_lite import OKAY, AxiLite
from ecoformer.spec.frames import LINK_IDENTITY, LINK_VERSION, LinkRegister
from ecoformer.spec.registers import ADDRESS_WIDTH

__all__ = ["RegisterMaster"]


class RegisterMaster(wiring.Component):
    """One access at a time, to the engine or to the board.

    Parameters
    ----------
    clock_hz, baud, frame_bytes : int
        What the board's registers say.

    Members
    -------
    start, write, offset, data : ``In``
        Strobe, and the access.
    done, refused, value : ``Out``
        Strobe, whether the answer is not OKAY, and what was read.
    good, bad : ``In(32)``
        Counters of frames.
    reset : ``Out(1)``
        Strobe: RESET was written.
    bus : ``Out(AxiLite)``
    """

    def __init__(self, clock_hz: int, baud: int, frame_bytes: int):
        self.constants = {
            LinkRegister.LINK_ID: LINK_IDENTITY,
            LinkRegister.VERSION: LINK_VERSION,
            LinkRegister.FRAME_BYTES: frame_bytes,
            LinkRegister.CLOCK_HZ: clock_hz,
            LinkRegister.BAUD: baud,
            LinkRegister.RESET: 0,
        }
        super().__init__({
            "start": In(1),
            "write": In(1),
            "offset": In(32),
            "data": In(32),
            "done": Out(1),
            "refused": Out(1),
            "value": Out(32),
            "good": In(32),
            "bad": In(32),
            "reset": Out(1),
            "bus": Out(AxiLite(ADDRESS_WIDTH)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        bus = self.bus
        # What is asked for is registered, decoded in the next cycle, and done in the one after.
        decodes, acts = Signal(), Signal()
        write, offset = Signal(), Signal(32)
        of_engine, hits = Signal(), Signal(len(LinkRegister))
        values = self.constants | {LinkRegister.GOOD: self.good, LinkRegister.BAD: self.bad}
        value = Signal(32)
        m.d.comb += [
            bus.awaddr.eq(offset), bus.araddr.eq(offset),
            bus.wstrb.eq(0b1111), bus.bready.eq(1), bus.rready.eq(1),
            value.eq(reduce(or_, (
                Mux(hits[place], values[register], 0)
                for place, register in enumerate(LinkRegister)
            ))),
        ]
        m.d.sync += [
            decodes.eq(self.start),
            acts.eq(decodes),
            of_engine.eq(offset < 1 << ADDRESS_WIDTH),
            hits.eq(Cat(offset == register for register in LinkRegister)),
            self.done.eq(0),
            self.reset.eq(0),
        ]
        with m.If(self.start):
            m.d.sync += [
                write.eq(self.write), offset.eq(self.offset), bus.wdata.eq(self.data),
            ]
        for valid, ready in (
            (bus.awvalid, bus.awready), (bus.wvalid, bus.wready), (bus.arvalid, bus.arready)
        ):
            with m.If(ready):
                m.d.sync += valid.eq(0)

        def answer(refused, value=0):
            m.d.sync += [self.done.eq(1), self.refused.eq(refused), self.value.eq(value)]

        resets = hits[list(LinkRegister).index(LinkRegister.RESET)]
        with m.If(acts & of_engine):
            m.d.sync += [bus.awvalid.eq(write), bus.wvalid.eq(write), bus.arvalid.eq(~write)]
        with m.Elif(acts):
            m.d.sync += self.reset.eq(resets & write)
            answer(~hits.any() | (write & ~resets), value)
        with m.If(bus.bvalid):
            answer(bus.bresp != OKAY)
        with m.If(bus.rvalid):
            answer(bus.rresp != OKAY, bus.rdata)
        return m
