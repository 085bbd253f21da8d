# SPDX-License-Identifier: Apache-2.0
"""Folded matrix-vector product."""

from amaranth import *
from amaranth.hdl import ShapeLike
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ecoformer.hw.lib.pipeline import adder_tree, delay, signed_tree, tree_latency
from ecoformer.hw.lib.products import PRODUCTS, Product
from ecoformer.spec.choices import Weights
from ecoformer.spec.weights import WEIGHT_FORMATS, WeightFormat

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
    product : Product or None
        How a lane multiplies; as suits ``weights`` when None.

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
        self,
        input_lanes: int,
        output_lanes: int,
        element: ShapeLike,
        result_width: int,
        weights: WeightFormat = WEIGHT_FORMATS[Weights.INT8],
        product: Product | None = None,
    ):
        self.input_lanes = input_lanes
        self.output_lanes = output_lanes
        self.weights = weights
        self.product = PRODUCTS[weights.name] if product is None else product
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
    def latency(self) -> int:
        """Cycles from the last step to its results: operands, product, tree, accumulator."""
        before_tree = self.product.operand_time + self.product.time
        terms = self.input_lanes * self.product.terms(self.weights.bits)
        return before_tree + tree_latency(terms) + 1

    def elaborate(self, platform) -> Module:
        m = Module()
        lanes, before_sum = self.input_lanes, self.latency - 1
        vector, matrix = (
            data.View(port.shape(), delay(m, port.as_value(), self.product.operand_time, name=name))
            for name, port in (("vector", self.vector), ("matrix", self.matrix))
        )
        first = delay(m, self.first, before_sum, name="first")
        for output in range(self.output_lanes):
            products, ones = [], []
            for lane in range(lanes):
                weight = matrix[output * lanes + lane]
                terms = self.product.of(m, Value.cast(vector[lane]), weight)
                for number, (term, one) in enumerate(terms):
                    name = f"{output}_{lane}" + (f"_{number}" if len(terms) > 1 else "")
                    products.append(delay(m, term, self.product.time, name=f"product_{name}"))
                    if one is not None:
                        ones.append(delay(m, one, self.product.time, name=f"one_{name}"))
            if ones:
                total, one = signed_tree(m, products, ones, name=f"sum_{output}")
            else:
                total, one = adder_tree(m, products, name=f"sum_{output}"), 0
            result = Signal(signed(self.result_width), name=f"result_{output}", reset_less=True)
            m.d.sync += result.eq(Mux(first, 0, result) + total + one)
            m.d.comb += self.results[output].eq(result)
        return m
