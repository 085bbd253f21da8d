# SPDX-License-Identifier: Apache-2.0
"""Register accesses of a host: those of the engine over AXI4-Lite, and the board's own."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ecoformer.hw.lib.axi_lite import OKAY, AxiLite
from ecoformer.spec.frames import LINK_BASE, LINK_IDENTITY, LINK_VERSION, LinkRegister
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
        Strobe, and the access, which is held until it is done.
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
        m.d.comb += [
            bus.awaddr.eq(self.offset), bus.araddr.eq(self.offset), bus.wdata.eq(self.data),
            bus.wstrb.eq(0b1111), bus.bready.eq(1), bus.rready.eq(1),
        ]
        m.d.sync += [self.done.eq(0), self.reset.eq(0)]
        for valid, ready in (
            (bus.awvalid, bus.awready), (bus.wvalid, bus.wready), (bus.arvalid, bus.arready)
        ):
            with m.If(ready):
                m.d.sync += valid.eq(0)

        def answer(refused, value=0):
            m.d.sync += [self.done.eq(1), self.refused.eq(refused), self.value.eq(value)]

        with m.If(self.start):
            with m.If(self.offset < 1 << ADDRESS_WIDTH):
                m.d.sync += [
                    bus.awvalid.eq(self.write),
                    bus.wvalid.eq(self.write),
                    bus.arvalid.eq(~self.write),
                ]
            with m.Elif(self.offset >= LINK_BASE):
                self._access_own(m, answer)
            with m.Else():
                answer(1)
        with m.If(bus.bvalid):
            answer(bus.bresp != OKAY)
        with m.If(bus.rvalid):
            answer(bus.rresp != OKAY, bus.rdata)
        return m

    def _access_own(self, m, answer):
        values = self.constants | {LinkRegister.GOOD: self.good, LinkRegister.BAD: self.bad}
        with m.Switch(self.offset):
            for register, value in values.items():
                with m.Case(register):
                    if register is LinkRegister.RESET:
                        m.d.sync += self.reset.eq(self.write)
                        answer(0)
                    else:
                        answer(self.write, value)
            with m.Default():
                answer(1)
