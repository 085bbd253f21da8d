"""Folded matrix-vector product, for dot products with the anchors and for the projection."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ecoformer.arithmetic import WEIGHT_WIDTH
from hw.pipeline import adder_tree, delay, register, tree_latency

__all__ = ["MatrixVector"]


class MatrixVector(wiring.Component):
    """One folded step of matrix times vector: products, adder tree, accumulation.

    Latency: ``latency`` cycles from the step of the last input block to ``valid``.

    Parameters
    ----------
    fold : Fold
    element : Shape
        Of one vector element.
    result_width : int
        Signed bits of one result.

    Members
    -------
    first, last : ``In(1)``
        First and last input block of an output block.
    vector : ``In(ArrayLayout(element, input_lanes))``
    matrix : ``In(ArrayLayout(signed(8), lanes))``
        Lane = output · input_lanes + input.
    valid : ``Out(1)``
    results : ``Out(ArrayLayout(signed(result_width), output_lanes))``
    """

    def __init__(self, fold, element, result_width):
        self.fold = fold
        self.element = Shape.cast(element)
        self.result_width = result_width
        super().__init__(
            {
                "first": In(1),
                "last": In(1),
                "vector": In(data.ArrayLayout(element, fold.input_lanes)),
                "matrix": In(data.ArrayLayout(signed(WEIGHT_WIDTH), fold.lanes)),
                "valid": Out(1),
                "results": Out(data.ArrayLayout(signed(result_width), fold.output_lanes)),
            }
        )

    @property
    def latency(self):
        """Cycles from the last step to its results: product, tree, accumulator."""
        return 1 + tree_latency(self.fold.input_lanes) + 1

    def elaborate(self, platform):
        m = Module()
        lanes, before_sum = self.fold.input_lanes, self.latency - 1
        first = delay(m, self.first, before_sum, name="first")
        m.d.comb += self.valid.eq(delay(m, self.last, self.latency, name="last", reset=True))
        for output in range(self.fold.output_lanes):
            products = [
                register(
                    m,
                    self.vector[lane] * self.matrix[output * lanes + lane],
                    name=f"product_{output}_{lane}",
                )
                for lane in range(lanes)
            ]
            total = adder_tree(m, products, name=f"sum_{output}")
            result = Signal(signed(self.result_width), name=f"result_{output}", reset_less=True)
            m.d.sync += result.eq(Mux(first, 0, result) + total)
            m.d.comb += self.results[output].eq(result)
        return m
