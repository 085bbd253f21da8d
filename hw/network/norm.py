# SPDX-License-Identifier: Apache-2.0
"""Layer norm: subtract the mean, divide by the length."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ecoformer.hw.lib.pipeline import delay, register
from ecoformer.hw.lib.root import RootUnit
from ecoformer.hw.network.link import TokenLink
from ecoformer.hw.network.requantise import saturate
from ecoformer.hw.network.two_pass import TwoPass
from ecoformer.spec.network.layers import NormShape
from ecoformer.spec.tables import ROOT_FRACTION

__all__ = ["Norm"]


class Norm(wiring.Component):
    """The norm of `spec.network.layers.NormShape`.

    Parameters
    ----------
    shape : NormShape
    epsilon : int
    cycles : int
        k: a token may begin every k cycles.
    entering : int
        Cycles from the announcement of a token to its last element.

    Members
    -------
    i : ``In(TokenLink(input_width))``
    o : ``Out(TokenLink(output_width))``
    """

    def __init__(self, shape: NormShape, epsilon: int, cycles: int, entering: int):
        self.centre = Centre(shape, Centre.slots_for(shape.width, entering, cycles))
        self.scale = Scale(
            shape, epsilon, Scale.slots_for(shape.width, self.centre.latency, cycles)
        )
        super().__init__(
            {"i": In(TokenLink(shape.input_width)), "o": Out(TokenLink(shape.output_width))}
        )

    @property
    def latency(self) -> int:
        """Cycles from the announcement of a token to its last element, with nothing to wait for."""
        gathering = self.centre.gather_latency + self.scale.gather_latency
        return self.centre.latency + self.scale.latency + gathering + 2

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.centre = self.centre
        m.submodules.scale = self.scale
        connect(m, flipped(self.i), self.centre.i)
        connect(m, self.centre.o, self.scale.i)
        connect(m, self.scale.o, flipped(self.o))
        return m


class Centre(TwoPass):
    """Differences from the mean."""

    gather_latency = 3
    emit_latency = 1

    def __init__(self, shape: NormShape, slots: int):
        self.shape = shape
        mean = data.StructLayout({"mean": signed(shape.input_width)})
        super().__init__(shape.width, shape.input_width, shape.difference_width, mean, slots)

    def gather(self, m: Module, first: Value, last: Value) -> tuple[Value, dict]:
        shape = self.shape
        total = Signal(signed(shape.total_width), reset_less=True)
        with m.If(self.i.valid):
            m.d.sync += total.eq(Mux(first, 0, total) + self.i.element)
        summed = delay(m, last, 1, name="summed", reset=True)
        scaled = register(m, total * shape.reciprocal, name="scaled")
        half = (1 << shape.mean_shift) >> 1
        mean = register(m, (scaled + half) >> shape.mean_shift, name="mean")
        return delay(m, summed, 2, name="averaged", reset=True), {"mean": mean}

    def emit(self, m: Module, element: Value, known: data.View) -> Value:
        return register(m, element - known.mean, name="difference")


class Scale(TwoPass):
    """Differences divided by their length."""

    emit_latency = 6
    gather_latency = 4 + RootUnit.LATENCY

    def __init__(self, shape: NormShape, epsilon: int, slots: int):
        self.shape = shape
        self.epsilon = epsilon
        self.root = RootUnit(shape.square_width)
        # 4^(e-1) ≤ V < 4^e, and V ≥ 1: s - 1 = e + 9 - fraction is at least 0.
        self.most = shape.max_exponent + ROOT_FRACTION - shape.fraction - 1
        known = data.StructLayout({"root": ROOT_FRACTION + 1, "shift": range(self.most + 1)})
        super().__init__(shape.width, shape.difference_width, shape.output_width, known, slots)

    def gather(self, m: Module, first: Value, last: Value) -> tuple[Value, dict]:
        shape = self.shape
        m.submodules.root = root = self.root
        operand = register(m, self.i.element, name="operand")
        square = delay(m, operand * operand, 2, name="square")
        # A square is registered twice: within the multiplier block, and beside it.
        late = 3
        total = Signal(shape.square_width, reset_less=True)
        squared = delay(m, self.i.valid, late, name="squared", reset=True)
        begins = delay(m, first, late, name="first")
        with m.If(squared):
            m.d.sync += total.eq(Mux(begins, self.epsilon, total) + square.as_unsigned())
        m.d.comb += root.norm.eq(total)
        found = delay(m, last, late + 1 + RootUnit.LATENCY, name="found", reset=True)
        shift = (root.exponent + (ROOT_FRACTION - 1 - shape.fraction))[: range_bits(self.most)]
        return found, {"root": root.root, "shift": shift}

    def emit(self, m: Module, element: Value, known: data.View) -> Value:
        shape = self.shape
        operand = register(m, element, name="factor")
        root = register(m, known.root, name="factor_root")
        product = delay(m, operand * root, 2, name="product")
        shift = delay(m, known.shift, 3, name="shift")
        coarse = (len(shift) + 1) // 2
        halved = register(
            m, product >> Cat(C(0, coarse), shift[coarse:]), name="coarse"
        )
        rest = register(m, shift[:coarse], name="rest")
        rounded = register(m, ((halved >> rest) + 1) >> 1, name="rounded")
        return register(m, saturate(rounded, shape.output_width), name="scaled")


def range_bits(most: int) -> int:
    """Bits of a number 0…most."""
    return most.bit_length()
