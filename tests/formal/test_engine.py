# SPDX-License-Identifier: Apache-2.0
"""The engine and the pin-level top: handshake of what leaves."""

import pytest
from amaranth.hdl import Cat

from ecoformer.hw.engine.engine import Engine
from ecoformer.hw.engine.top import Top
from tests.formal.claims import obeys, offers
from tests.formal.configs import TINY
from tests.formal.prover import Bench

REACH = 60
"""Cycles in which the answer to a bad packet has left."""


@pytest.mark.prove
def test_engine_handshake(proof):
    bench = Bench(Engine(TINY))
    obeys(bench, bench.dut.i, "i")
    offers(bench, bench.dut.o, "o")
    proof("Engine", "tiny", bench.prove(reach=REACH))


def test_top_streams_are_the_engines(proof):
    """So what holds of the engine's streams, whatever its registers do, holds of the pins."""
    bench = Bench(Top(TINY))
    dut, engine, out_of_reset = bench.dut, bench.dut.engine, ~bench.reset
    i, o = engine.i.payload, engine.o.payload
    sent = Cat(o.data, o.last, o.user, o.error)
    taken = Cat(i.data, i.last, i.user)
    claims = {
        "m_axis carries what the engine sends":
            Cat(dut.m_axis_tdata, dut.m_axis_tlast, dut.m_axis_tuser) == sent,
        "m_axis offers what the engine offers, but in reset":
            dut.m_axis_tvalid == (engine.o.valid & out_of_reset),
        "the engine sees m_axis_tready": engine.o.ready == dut.m_axis_tready,
        "the engine takes what s_axis carries":
            Cat(dut.s_axis_tdata, dut.s_axis_tlast, dut.s_axis_tuser) == taken,
        "the engine sees s_axis_tvalid": engine.i.valid == dut.s_axis_tvalid,
        "s_axis is ready when the engine is, but in reset":
            dut.s_axis_tready == (engine.i.ready & out_of_reset),
    }
    for claim, holds in claims.items():
        bench.always(claim, holds)
    proof("Top", "tiny", bench.induction(1))


def test_top_is_silent_in_reset(proof):
    bench = Bench(Top(TINY))
    dut = bench.dut
    for name in ("m_axis_tvalid", "s_axil_bvalid", "s_axil_rvalid"):
        bench.always(f"{name} is low in reset", ~bench.reset | ~getattr(dut, name))
    bench.always("s_axis takes no beat in reset", ~bench.reset | ~dut.s_axis_tready)
    proof("Top", "tiny", bench.prove(reach=1))
