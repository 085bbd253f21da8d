# SPDX-License-Identifier: Apache-2.0
"""The AXI4-Lite slave: handshake of both responses, one response per request."""

import pytest
from amaranth.hdl import Cat

from ecoformer.hw.engine.engine import Engine
from ecoformer.hw.engine.register_file import RegisterFile
from tests.formal.claims import Port, count, offers
from tests.formal.configs import TINY
from tests.formal.prover import Bench


@pytest.mark.prove
def test_responses(proof):
    events = Engine(TINY).signature.members["events"].shape
    bench = Bench(RegisterFile(TINY, events))
    bus = bench.dut.bus
    offers(bench, Port(bus.bvalid, bus.bready, bus.bresp), "b")
    offers(bench, Port(bus.rvalid, bus.rready, Cat(bus.rdata, bus.rresp)), "r")
    addresses = bus.awvalid & bus.awready
    writes = count(bench, addresses, bus.bvalid & bus.bready, "writes")
    reads = count(bench, bus.arvalid & bus.arready, bus.rvalid & bus.rready, "reads")
    bench.always("one write response per write, and none else", writes == bus.bvalid)
    under_way = bench.inner("reading") + bus.rvalid
    bench.always("one read response per read, and none else", reads == under_way)
    bench.always("address and data are taken together", addresses == (bus.wvalid & bus.wready))
    proof("RegisterFile", "tiny", bench.prove())
