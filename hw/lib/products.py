# SPDX-License-Identifier: Apache-2.0
"""Products with an encoded weight, a class for every weight format.

Weights that are 0 or ±2^e take no multiplier: a product is the shifted element, inverted where the
weight is negative. The +1 of -p = ~p + 1 is returned separately, for an adder's carry in.
"""

from amaranth import *

__all__ = ["ADDERS", "PRODUCTS", "Booth", "Multiplier", "Product", "Selector", "Shifter"]


class Product:
    """How the elements of a vector are multiplied by encoded weights.

    Attributes
    ----------
    operand_time : int
        Cycles that the operands are delayed before they are multiplied.
    time : int
        Cycles that the product is delayed before it is added.
    """

    operand_time: int
    time: int

    def terms(self, weight_bits: int) -> int:
        """Terms of which a product is the sum."""
        return 1

    def of(
        self, m: Module, element: Value, weight: Value
    ) -> list[tuple[Value, Value | None]]:
        """Terms of a product, each less a 1, and that 1; None where there is none to add."""
        raise NotImplementedError


class Multiplier(Product):
    """A multiplier block. It may lie far from its operands: they have a register on the way."""

    operand_time = 2
    time = 1

    def of(
        self, m: Module, element: Value, weight: Value
    ) -> list[tuple[Value, Value | None]]:
        return [(element * weight.as_signed(), None)]


class Selector(Product):
    """A ternary product: one gate before the first adder."""

    operand_time = 0
    time = 0

    def of(
        self, m: Module, element: Value, weight: Value
    ) -> list[tuple[Value, Value | None]]:
        x, nonzero = _signed(element), Signal()
        m.d.comb += nonzero.eq(weight[0])
        return [_negated(x.as_unsigned(), nonzero, weight[1])]


class Shifter(Product):
    """A product with ±2^e: the element shifted, which takes a cycle."""

    operand_time = 0
    time = 1

    def of(
        self, m: Module, element: Value, weight: Value
    ) -> list[tuple[Value, Value | None]]:
        x, nonzero = _signed(element), Signal()
        size = weight[:-1]  # e + 1, hence the lowest bit of the shifted element is dropped
        m.d.comb += nonzero.eq(size.any())
        return [_negated((x << size)[1:], nonzero, weight[-1])]


class Booth(Product):
    """A product with any weight by adders alone: radix-4 Booth recoding (MacSorley, 1961).

    Two bits of the weight, and the one below them, are a digit -2…2, hence a term that is the
    element, or twice it, inverted where the digit is negative.
    """

    operand_time = 0
    time = 1

    def terms(self, weight_bits: int) -> int:
        return -(-weight_bits // 2)

    def of(
        self, m: Module, element: Value, weight: Value
    ) -> list[tuple[Value, Value | None]]:
        x, below, terms = _signed(element), C(0, 1), []
        bits = weight.as_signed()
        for low in range(0, len(bits), 2):
            sign = bits[min(low + 1, len(bits) - 1)]
            once, twice = Signal(), Signal()
            m.d.comb += [
                once.eq(bits[low] ^ below),
                twice.eq((bits[low] == below) & (sign != below)),
            ]
            multiple = Mux(twice, x << 1, x) << low
            terms.append(_negated(multiple.as_unsigned(), once | twice, sign))
            below = sign
        return terms


def _signed(element):
    return element if element.shape().signed else Cat(element, C(0, 1)).as_signed()


def _negated(product, nonzero, negative):
    """``nonzero`` is a signal of its own: one gate and not one per bit of the product."""
    flipped = product ^ negative.replicate(len(product))
    return Mux(nonzero, flipped, 0).as_signed(), negative & nonzero


PRODUCTS = {"int8": Multiplier(), "pow2": Shifter(), "ternary": Selector()}
"""By the name of the weight format."""
ADDERS = Booth()
"""For weights that need a multiplier, where there is to be none."""
