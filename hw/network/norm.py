# SPDX-License-Identifier: Apache-2.0
"""Layer norm: subtract the mean, divide by the length."""

from collections.abc import Sequence

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ecoformer.hw.lib.loading import LoadChain, load_ports
from ecoformer.hw.lib.pipeline import adder_tree, delay, register
from ecoformer.hw.lib.root import RootUnit
from ecoformer.hw.network.link import TokenLink, elements_of, lane_name
from ecoformer.hw.network.passes import Passes
from ecoformer.hw.network.requantise import saturate
from ecoformer.hw.network.two_pass import TwoPass, adding_latency
from ecoformer.spec.network.layers import NormShape
from ecoformer.spec.tables import ROOT_FRACTION

__all__ = ["Norm", "QuickNorm"]


class Norm(wiring.Component):
    """The norm of `spec.network.layers.NormShape`.

    Parameters
    ----------
    shape : NormShape
    epsilons : sequence of int
        One, or that of every layer that this is in turn.
    cycles : int
        k: a token may begin every k cycles.
    entering : int
        Cycles from the announcement of a token to its last element.
    lanes : int
        Elements at once, of which a token has a multiple.
    loads : bool
        Whether ``epsilons`` can be loaded, through `load_ports`.
    passes : Passes or None
        Where it is several layers in turn, for which it is.

    Members
    -------
    i : ``In(TokenLink(input_width, lanes))``
    o : ``Out(TokenLink(output_width, lanes))``
    """

    def __init__(
        self, shape: NormShape, epsilons: Sequence[int], cycles: int, entering: int, lanes: int = 1,
        loads: bool = False, passes: Passes | None = None,
    ):
        # What is gathered of several elements is added up before anything else.
        beats, adding = shape.width // lanes, adding_latency(lanes)
        self.centre = Centre(shape, Centre.slots_for(beats, entering + adding, cycles), lanes)
        self.scale = Scale(
            shape, epsilons, Scale.slots_for(beats, self.centre.latency + adding, cycles), lanes,
            loads, passes,
        )
        super().__init__(
            {
                "i": In(TokenLink(shape.input_width, lanes)),
                "o": Out(TokenLink(shape.output_width, lanes)),
                **load_ports(loads),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from the announcement of a token to its last element, with nothing to wait for."""
        return sum(part.gathering + part.latency for part in (self.centre, self.scale))

    @property
    def multipliers(self) -> int:
        """Products of a cycle: two of every element, and what makes a mean of a sum."""
        return self.scale.multipliers

    @property
    def leaving(self) -> int:
        """Cycles from the announcement of a token on ``o`` to its last element."""
        return self.scale.latency

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.centre = self.centre
        m.submodules.scale = self.scale
        chain = LoadChain(m, self)
        chain.through(self.scale)
        chain.end()
        connect(m, flipped(self.i), self.centre.i)
        connect(m, self.centre.o, self.scale.i)
        connect(m, self.scale.o, flipped(self.o))
        return m


class QuickNorm(wiring.Component):
    """`Norm` in one pass over a token, for those whose answer waits for it.

    Σ d² = Σ x² - mean·(2·Σ x - width·mean), exactly. It takes another multiplier, as wide as Σ x.

    Parameters
    ----------
    shape, epsilons, cycles, entering, lanes, loads, passes
        Same as for `Norm`.

    Members
    -------
    i : ``In(TokenLink(input_width, lanes))``
    o : ``Out(TokenLink(output_width, lanes))``
    """

    def __init__(
        self, shape: NormShape, epsilons: Sequence[int], cycles: int, entering: int, lanes: int = 1,
        loads: bool = False, passes: Passes | None = None,
    ):
        slots = Quick.slots_for(shape.width // lanes, entering + adding_latency(lanes), cycles)
        self.quick = Quick(shape, epsilons, slots, lanes, loads, passes)
        super().__init__(
            {
                "i": In(TokenLink(shape.input_width, lanes)),
                "o": Out(TokenLink(shape.output_width, lanes)),
                **load_ports(loads),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from the announcement of a token to its last element, with nothing to wait for."""
        return self.quick.gathering + self.quick.latency

    @property
    def multipliers(self) -> int:
        """Products of a cycle: those of `Norm`, and what squares lose by the mean."""
        return self.quick.multipliers + 1

    @property
    def leaving(self) -> int:
        """Cycles from the announcement of a token on ``o`` to its last element."""
        return self.quick.latency

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.quick = self.quick
        chain = LoadChain(m, self)
        chain.through(self.quick)
        chain.end()
        connect(m, flipped(self.i), self.quick.i)
        connect(m, self.quick.o, flipped(self.o))
        return m


class Centre(TwoPass):
    """Differences from the mean."""

    gather_latency = 3
    emit_latency = 1

    def __init__(self, shape: NormShape, slots: int, lanes: int = 1):
        self.shape = shape
        mean = data.StructLayout({"mean": signed(shape.input_width)})
        super().__init__(shape.width, shape.input_width, shape.difference_width, mean, slots, lanes)

    def gather(self, m: Module, first: Value, last: Value) -> dict:
        return {"mean": mean_of(m, self.shape, sum_of(m, self.shape, self.i, first))}

    def emit(self, m: Module, elements: list[Value], known: data.View) -> list[Value]:
        return [
            register(m, element - known.mean, name=lane_name("difference", lane, self.lanes))
            for lane, element in enumerate(elements)
        ]


class Scale(TwoPass):
    """Differences divided by their length."""

    emit_latency = 5
    gather_latency = 4 + RootUnit.LATENCY

    centres = False
    """Whether elements are no differences from the mean yet."""

    def __init__(
        self, shape: NormShape, epsilons: Sequence[int], slots: int, lanes: int = 1,
        loads: bool = False, passes: Passes | None = None,
    ):
        self.shape = shape
        self.epsilons = epsilons
        self.passes = passes
        self.root = RootUnit(shape.square_width)
        # 4^(e-1) ≤ V < 4^e, and V ≥ 1: s - 1 = e + 9 - fraction is at least 0.
        self.most = shape.max_exponent + ROOT_FRACTION - shape.fraction - 1
        mean = {"mean": signed(shape.input_width)} if self.centres else {}
        known = {"root": ROOT_FRACTION + 1, "shift": range(self.most + 1), **mean}
        width = shape.input_width if self.centres else shape.difference_width
        super().__init__(
            shape.width, width, shape.output_width, data.StructLayout(known), slots, lanes, loads
        )

    @property
    def multipliers(self) -> int:
        """Products of a cycle: two of every element, and what makes a mean of a sum."""
        return 2 * self.lanes + (self.shape.reciprocal > 1)

    def gather(self, m: Module, first: Value, last: Value) -> dict:
        shape = self.shape
        m.submodules.root = root = self.root
        chain = LoadChain(m, self)
        # A token's is added to its first square, at least a cycle after the token before has come.
        block = self.passes.block_of_tokens(m, last, name="epsilon") if self.passes else None
        epsilon = chain.number("epsilon", shape.max_epsilon.bit_length(), self.epsilons, block)
        chain.end()
        squares = []
        for lane, element in enumerate(elements_of(self.i)):
            operand = delay(m, element, 2, name=lane_name("operand", lane, self.lanes))
            squares.append(
                register(m, operand * operand, name=lane_name("square", lane, self.lanes))
            )
        square = _sum(m, squares, "squares")
        # An operand is registered twice, as the multiplier block may be far, and then the square.
        late = 3 + adding_latency(self.lanes)
        total = Signal(shape.square_width, reset_less=True)
        squared = delay(m, self.i.valid, late, name="squared", reset=True)
        begins = delay(m, first, late, name="first")
        with m.If(squared):
            m.d.sync += total.eq(Mux(begins, epsilon, total) + square.as_unsigned())
        summed, centre = self._centred(m, total, first)
        m.d.comb += root.norm.eq(summed)
        shift = (root.exponent + (ROOT_FRACTION - 1 - shape.fraction))[: range_bits(self.most)]
        return {"root": root.root, "shift": shift, **centre}

    def _centred(self, m, total, first):
        """The sum of the squares of differences, and what else is known with it."""
        return total, {}

    def emit(self, m: Module, elements: list[Value], known: data.View) -> list[Value]:
        def each(values, name):
            return [
                register(m, value, name=lane_name(name, lane, self.lanes))
                for lane, value in enumerate(values)
            ]

        root = register(m, known.root, name="factor_root")
        products = each((operand * root for operand in each(elements, "factor")), "product")
        shift = delay(m, known.shift, 2, name="shift")
        coarse = (len(shift) + 1) // 2
        halved = each((p >> Cat(C(0, coarse), shift[coarse:]) for p in products), "coarse")
        rest = register(m, shift[:coarse], name="rest")
        rounded = each((((h >> rest) + 1) >> 1 for h in halved), "rounded")
        return each((saturate(r, self.shape.output_width) for r in rounded), "scaled")


class Quick(Scale):
    """Differences from the mean divided by their length, of elements as they come."""

    emit_latency = Scale.emit_latency + 1
    gather_latency = Scale.gather_latency + 3
    centres = True

    def _centred(self, m, total, first):
        shape = self.shape
        of_mean = sum_of(m, shape, self.i, first)
        mean = mean_of(m, shape, of_mean)
        # A cycle for what the mean is multiplied by, one on the way, and one each for the product
        # and the difference.
        plain = delay(m, of_mean, 2, name="plain_sum")
        near = register(m, 2 * plain - shape.width * mean, name="mean_factor_near")
        factor = register(m, near, name="mean_factor")
        operand = delay(m, mean, 2, name="mean_operand")
        moved = register(m, operand * factor, name="moved")
        # Squares are there a cycle after the mean.
        squares = delay(m, total, 2, name="squares_so_far")
        difference = register(
            m, (squares - moved)[: shape.square_width].as_unsigned(), name="centred"
        )
        return difference, {"mean": delay(m, mean, 4 + RootUnit.LATENCY, name="mean_found")}

    def emit(self, m: Module, elements: list[Value], known: data.View) -> list[Value]:
        differences = [
            register(m, element - known.mean, name=lane_name("difference", lane, self.lanes))
            for lane, element in enumerate(elements)
        ]
        later = register(m, known.as_value(), name="known_later")
        return super().emit(m, differences, data.View(self.gathered, later))


def sum_of(
    m: Module, shape: NormShape, link: wiring.PureInterface, first: Value
) -> Value:
    """The sum of a token, a cycle and `adding_latency` after its last element on ``link``."""
    total = Signal(signed(shape.total_width), name="total", reset_less=True)
    late = adding_latency(link.signature.lanes)
    begins, added = delay(m, first, late, name="begins"), _sum(m, elements_of(link), "added")
    with m.If(delay(m, link.valid, late, name="adds", reset=True)):
        m.d.sync += total.eq(Mux(begins, 0, total) + added)
    return total


def mean_of(m: Module, shape: NormShape, total: Value) -> Value:
    """The mean of a token, 2 cycles after its sum ``total``."""
    scaled = register(m, total * shape.reciprocal, name="scaled")
    half = (1 << shape.mean_shift) >> 1
    return register(m, (scaled + half) >> shape.mean_shift, name="mean")


def _sum(m, values, name):
    return values[0] if len(values) == 1 else adder_tree(m, values, name=name)


def range_bits(most: int) -> int:
    """Bits of a number 0…most."""
    return most.bit_length()
