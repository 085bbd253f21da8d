# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Registers that are constants, for a design behind a host link that has none of its own."""

from collections.abc import Mapping

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from ecoformer.hw.lib.axi_lite import OKAY, SLVERR, AxiLite
from ecoformer.spec.registers import ADDRESS_WIDTH

__all__ = ["Constants"]


class Constants(wiring.Component):
    """Answers every other access with SLVERR, as an engine does where it has no register.

    Parameters
    ----------
    values : dict of int to int
        32-bit numbers by byte offset.

    Members
    -------
    bus : ``In(AxiLite)``
    """

    def __init__(self, values: Mapping[int, int]) -> None:
        self.values = values
        super().__init__({"bus": In(AxiLite(ADDRESS_WIDTH))})

    def elaborate(self, platform) -> Module:
        m = Module()
        bus = self.bus
        writes, reads = Signal(), Signal()
        m.d.comb += [
            writes.eq(bus.awvalid & bus.wvalid & ~bus.bvalid),
            reads.eq(bus.arvalid & ~bus.rvalid),
            bus.awready.eq(writes),
            bus.wready.eq(writes),
            bus.arready.eq(reads),
            bus.bresp.eq(SLVERR),
        ]
        with m.If(reads):
            m.d.sync += [bus.rdata.eq(0), bus.rresp.eq(SLVERR)]
            for offset, value in self.values.items():
                with m.If(bus.araddr == offset):
                    m.d.sync += [bus.rdata.eq(value), bus.rresp.eq(OKAY)]
        for begins, valid, ready in (
            (writes, bus.bvalid, bus.bready), (reads, bus.rvalid, bus.rready)
        ):
            m.d.sync += valid.eq(begins | (valid & ~ready))
        return m
