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
    answered = bus.bvalid & bus.bready
    addresses = count(bench, bus.awvalid & bus.awready, answered, "addresses")
    words = count(bench, bus.wvalid & bus.wready, answered, "words")
    reads = count(bench, bus.arvalid & bus.arready, bus.rvalid & bus.rready, "reads")
    for name, taken, ready in (("address", addresses, bus.awready), ("data", words, bus.wready)):
        bench.always(f"at most one {name} waits, and is announced", taken == bus.bvalid + ~ready)
    both = ~bus.awready & ~bus.wready
    bench.always("a whole write waits only for the response before it", ~both | bus.bvalid)
    bench.reach("an address waits for its data", ~bus.awready & bus.wready & ~bus.bvalid)
    bench.reach("a whole write waits for a response", both)
    under_way = bench.inner("reading") + bus.rvalid
    bench.always("one read response per read, and none else", reads == under_way)
    proof("RegisterFile", "tiny", bench.prove())
