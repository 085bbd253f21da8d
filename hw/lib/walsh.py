# SPDX-License-Identifier: Apache-2.0
"""Folded Walsh-Hadamard transform of inverted elements."""

from functools import reduce
from operator import xor

from amaranth import *
from amaranth.hdl import ShapeLike
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ecoformer.hw.lib.pipeline import delay, register
from ecoformer.spec.walsh import WalshFold

__all__ = ["WalshHadamard"]


class WalshHadamard(wiring.Component):
    """One folded step of H·x: levels of butterflies, then one addition for every result.

    Latency: ``latency`` cycles from the step of the last input block to its results.

    Parameters
    ----------
    fold : WalshFold
    element : Shape
        Of one vector element.
    result_width : int
        Signed bits of one result.

    Members
    -------
    first : ``In(1)``
        First input block of an output block.
    input_step, output_step : ``In``
        Numbers of these blocks.
    vector : ``In(ArrayLayout(element, input_lanes))``
    matrix : ``In(ArrayLayout(1, rotations_of_step · input_lanes))``
        Elements whose bits are inverted, for one rotation after another.
    results : ``Out(ArrayLayout(signed(result_width), output_lanes))``
        Of a part of a rotation, or of several.
    """

    def __init__(self, fold: WalshFold, element: ShapeLike, result_width: int):
        self.fold = fold
        self.element = Shape.cast(element)
        self.result_width = result_width
        super().__init__(
            {
                "first": In(1),
                "input_step": In(range(fold.input_steps)),
                "output_step": In(range(fold.output_steps)),
                "vector": In(data.ArrayLayout(element, fold.input_lanes)),
                "matrix": In(data.ArrayLayout(1, fold.rotations_of_step * fold.input_lanes)),
                "results": Out(data.ArrayLayout(signed(result_width), fold.output_lanes)),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from the last step to its results: a cycle for every level, and one to add up."""
        return self.fold.levels + 1

    def elaborate(self, platform) -> Module:
        m = Module()
        fold = self.fold
        lanes = fold.input_lanes
        sums = [
            value
            for rotation in range(fold.rotations_of_step)
            for value in self._butterflies(m, rotation)
        ]
        late = {
            name: delay(m, value, fold.levels, name=name)
            for name, value in (
                ("first", self.first), ("input_step", self.input_step),
                ("output_step", self.output_step),
            )
        }
        for lane in range(fold.output_lanes):
            rotation, number = divmod(lane, fold.size)
            total = sums[rotation * lanes + number % lanes]
            result = Signal(signed(self.result_width), name=f"result_{lane}", reset_less=True)
            if fold.input_steps > 1:
                minus = self._odd(number // lanes, late)
                total = Mux(late["first"], 0, result) + _inverted(total, minus) + minus
                m.d.sync += result.eq(total)
            else:  # nothing is added up, so nothing need change in between
                with m.If(late["first"]):
                    m.d.sync += result.eq(total)
            m.d.comb += self.results[lane].eq(result)
        return m

    def _butterflies(self, m, rotation):
        """Transformed elements of a block, not yet added to those of other blocks."""
        lanes = self.fold.input_lanes
        values = [
            _inverted(Value.cast(self.vector[i]), self.matrix[rotation * lanes + i])
            for i in range(lanes)
        ]
        for level in range(self.fold.levels):
            distance, pairs = 1 << level, values
            values = [
                register(
                    m, pairs[i ^ distance] - pairs[i] if i & distance else pairs[i ^ distance]
                    + pairs[i], name=f"level_{rotation}_{level}_{i}",
                )
                for i in range(lanes)
            ]
        return values

    def _odd(self, block, late):
        """Whether the block of a lane and that of the elements share an odd number of bits."""
        fold = self.fold
        step = late["input_step"]
        terms = [step[bit] for bit in range(len(step)) if block >> bit & 1]
        if fold.output_lanes < fold.size:  # and the lane's block is one of several
            place = (late["output_step"] * fold.output_lanes)[: len(step) + fold.levels]
            terms += [a & b for a, b in zip(step, place[fold.levels :])]
        return reduce(xor, terms, C(0, 1))


def _inverted(value, whether):
    """A signed value, or all of its bits inverted."""
    return (value.as_unsigned() ^ whether.replicate(len(value))).as_signed()
