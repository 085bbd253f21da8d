"""The engine and the pin-level top: handshake of what leaves."""

import pytest
from amaranth.hdl import Cat

from hw.engine import Engine
from hw.top import Top
from tests.formal.claims import Port, obeys, offers
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


@pytest.mark.prove
def test_top_handshake(proof):
    bench = Bench(Top(TINY))
    dut = bench.dut
    beat = Cat(dut.m_axis_tdata, dut.m_axis_tlast, dut.m_axis_tuser)
    offers(bench, Port(dut.m_axis_tvalid, dut.m_axis_tready, beat), "m_axis")
    proof("Top", "tiny", bench.prove(reach=REACH, timeout=900))


def test_top_is_silent_in_reset(proof):
    bench = Bench(Top(TINY))
    dut = bench.dut
    for name in ("m_axis_tvalid", "s_axil_bvalid", "s_axil_rvalid"):
        bench.always(f"{name} is low in reset", ~bench.reset | ~getattr(dut, name))
    bench.always("s_axis takes no beat in reset", ~bench.reset | ~dut.s_axis_tready)
    proof("Top", "tiny", bench.prove(reach=1))
