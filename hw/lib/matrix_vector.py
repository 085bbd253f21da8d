"""Folded matrix-vector product, for dot products with the anchors and for the projection.

Weights that are 0 or ±2^e take no multiplier: a product is the shifted element, inverted where the
weight is negative, and the +1 of -p = ~p + 1 is the carry in of one of the adders.
"""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ecoformer.hw.lib.pipeline import adder_tree, delay, signed_tree, tree_latency
from ecoformer.spec.weights import WEIGHT_FORMATS

__all__ = ["MatrixVector"]


class MatrixVector(wiring.Component):
    """One folded step of matrix times vector: products, adder tree, accumulation.

    Latency: ``latency`` cycles from the step of the last input block to its results.

    Parameters
    ----------
    input_lanes, output_lanes : int
        Elements and results of a step.
    element : Shape
        Of one vector element.
    result_width : int
        Signed bits of one result.
    weights : WeightFormat
        How ``matrix`` is encoded.

    Members
    -------
    first : ``In(1)``
        First input block of an output block.
    vector : ``In(ArrayLayout(element, input_lanes))``
    matrix : ``In(ArrayLayout(weights.bits, lanes))``
        Encoded weights; lane = output · input_lanes + input.
    results : ``Out(ArrayLayout(signed(result_width), output_lanes))``
    """

    def __init__(
        self, input_lanes, output_lanes, element, result_width, weights=WEIGHT_FORMATS["int8"]
    ):
        self.input_lanes = input_lanes
        self.output_lanes = output_lanes
        self.weights = weights
        self.element = Shape.cast(element)
        self.result_width = result_width
        super().__init__(
            {
                "first": In(1),
                "vector": In(data.ArrayLayout(element, input_lanes)),
                "matrix": In(data.ArrayLayout(weights.bits, input_lanes * output_lanes)),
                "results": Out(data.ArrayLayout(signed(result_width), output_lanes)),
            }
        )

    @property
    def latency(self):
        """Cycles from the last step to its results: operands, product, tree, accumulator."""
        before_tree = self._operand_time + self._product_time
        return before_tree + tree_latency(self.input_lanes) + 1

    @property
    def _multiplies(self):
        return self.weights.name == "int8"

    @property
    def _operand_time(self):
        """A multiplier's block has registers before it, too; gates follow those of the memory."""
        return 1 if self._multiplies else 0

    @property
    def _product_time(self):
        """Of a multiplier a cycle more: its block has a register, and may lie far from the sum.

        A ternary product is one gate, before the first adder; to shift an element takes a cycle.
        """
        return {"int8": 2, "pow2": 1, "ternary": 0}[self.weights.name]

    def elaborate(self, platform):
        m = Module()
        lanes, before_sum = self.input_lanes, self.latency - 1
        vector, matrix = (
            data.View(port.shape(), delay(m, port.as_value(), self._operand_time, name=name))
            for name, port in (("vector", self.vector), ("matrix", self.matrix))
        )
        first = delay(m, self.first, before_sum, name="first")
        for output in range(self.output_lanes):
            products, ones = [], []
            for lane in range(lanes):
                weight = matrix[output * lanes + lane]
                product, one = self._product(m, Value.cast(vector[lane]), weight)
                products.append(
                    delay(m, product, self._product_time, name=f"product_{output}_{lane}")
                )
                if one is not None:
                    ones.append(delay(m, one, self._product_time, name=f"one_{output}_{lane}"))
            if ones:
                total, one = signed_tree(m, products, ones, name=f"sum_{output}")
            else:
                total, one = adder_tree(m, products, name=f"sum_{output}"), 0
            result = Signal(signed(self.result_width), name=f"result_{output}", reset_less=True)
            m.d.sync += result.eq(Mux(first, 0, result) + total + one)
            m.d.comb += self.results[output].eq(result)
        return m

    def _product(self, m, element, weight):
        """Product of an element and an encoded weight, less the +1 that is returned beside it."""
        if self._multiplies:
            return element * weight.as_signed(), None
        x = element if element.shape().signed else Cat(element, C(0, 1)).as_signed()
        nonzero = Signal()  # one gate and not one per bit of the product
        if self.weights.name == "ternary":
            negative, product = weight[1], x.as_unsigned()
            m.d.comb += nonzero.eq(weight[0])
        else:
            size = weight[:-1]  # e + 1, hence the lowest bit of the shifted element is dropped
            negative, product = weight[-1], (x << size)[1:]
            m.d.comb += nonzero.eq(size.any())
        flipped = product ^ negative.replicate(len(product))
        return Mux(nonzero, flipped, 0).as_signed(), negative & nonzero
