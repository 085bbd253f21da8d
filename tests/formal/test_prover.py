# SPDX-License-Identifier: Apache-2.0
"""The prover itself: what is false is refuted with a readable counterexample, by every method."""

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from tests.formal.claims import offers
from tests.formal.prover import Bench


class Stage(wiring.Component):
    """A register between two streams; ``fault`` breaks it."""

    def __init__(self, fault=None):
        self.fault = fault
        super().__init__({"i": In(stream.Signature(4)), "o": Out(stream.Signature(4))})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.i.ready.eq(~self.o.valid | self.o.ready)
        if self.fault == "overwrites":
            m.d.comb += self.i.ready.eq(1)
        with m.If(self.o.ready | (self.fault == "forgets")):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(self.i.payload)]
        return m


METHODS = {
    "PDR": lambda bench: bench.prove(reach=4),
    "bounded": lambda bench: bench.bounded(6),
    "induction": lambda bench: bench.induction(1, reach=4),
}


def handshake(fault=None):
    bench = Bench(Stage(fault))
    offers(bench, bench.dut.o, "o")
    return bench


@pytest.mark.parametrize("method", METHODS)
def test_what_holds_is_proved(method):
    verdict = METHODS[method](handshake())
    assert verdict.proved and not verdict.unreached


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "fault, claim",
    [
        ("forgets", "o stays offered until taken"),
        ("overwrites", "o keeps its payload until taken"),
    ],
)
def test_what_does_not_hold_is_refuted(method, fault, claim):
    verdict = METHODS[method](handshake(fault))
    assert not verdict.proved
    assert verdict.trace.startswith(f"not so: {claim}\ncycle ")
    assert "\no__valid " in verdict.trace


def test_contradictory_assumptions_are_noticed():
    bench = handshake()
    bench.assume(~bench.dut.i.valid)
    verdict = bench.prove(reach=6)
    assert verdict.proved
    assert verdict.unreached == ("o is offered before it is ever ready", "o is taken")


def test_an_invariant_too_weak_is_no_proof():
    """A claim that holds, but not because it held before, is not proved by induction of one."""

    def aging():
        bench = handshake()
        age = Signal(3)
        with bench.m.If(age != 4):
            bench.m.d.sync += age.eq(age + 1)
        bench.always("the age is not 7", age != 7)
        return bench

    assert not aging().induction(1).proved
    assert aging().prove().proved
