# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""What answers register accesses where the design behind a host link has no registers."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from ecoformer.hw.lib.axi_lite import SLVERR, AxiLite
from ecoformer.spec.registers import ADDRESS_WIDTH

__all__ = ["NoRegisters"]


class NoRegisters(wiring.Component):
    """Answers every access with SLVERR, as an engine does where it has no register.

    Members
    -------
    bus : ``In(AxiLite)``
    """

    def __init__(self) -> None:
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
            bus.rresp.eq(SLVERR),
        ]
        for begins, valid, ready in (
            (writes, bus.bvalid, bus.bready), (reads, bus.rvalid, bus.rready)
        ):
            m.d.sync += valid.eq(begins | (valid & ~ready))
        return m
