# SPDX-License-Identifier: Apache-2.0
"""Folding: how a matrix-shaped unit of work is spread over k cycles."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

__all__ = ["Fold", "Stream"]


@dataclass(frozen=True)
class Fold:
    """Schedule of an ``inputs × outputs`` array of lanes over at most ``cycles`` steps.

    The array is cut into blocks of ``input_lanes × output_lanes``, one per step. Steps run over
    the input blocks first, so a block of outputs is complete every ``input_steps`` steps. The cut
    with the fewest lanes wins; of equals, the one whose elements and results have the fewest bits,
    and then the one with the most input lanes, because a wider adder tree is cheaper than more
    accumulators.

    Parameters
    ----------
    inputs, outputs : int
        Extent of the reduction and of the result.
    cycles : int
        Cycles per token k.
    granule : int
        Elements that come, and results that leave, in a cycle. Lanes of either kind are a multiple
        of it, unless a step has all; and a block's results leave before those of the next.
    input_bits, output_bits : int
        Bits of an element and of a result, where lanes are so small that the registers beside them
        count; then, too, a block's results leave one after another before those of the next.
    """

    inputs: int
    outputs: int
    cycles: int
    granule: int = 1
    input_bits: int = 0
    output_bits: int = 0

    @cached_property
    def _cut(self) -> tuple[int, int]:
        """Input and output lanes of a block."""
        def size(cut):
            inputs, outputs = cut
            bits = inputs * self.input_bits + outputs * self.output_bits
            return inputs * outputs, bits, outputs

        return min(self._cuts(), key=size)

    def _cuts(self) -> Iterator[tuple[int, int]]:
        for output_steps in range(1, min(self.outputs, self.cycles) + 1):
            output_lanes = self._whole(_ceil_div(self.outputs, output_steps), self.outputs)
            input_steps = min(self.inputs, self.cycles // _ceil_div(self.outputs, output_lanes))
            input_lanes = self._whole(_ceil_div(self.inputs, input_steps), self.inputs)
            leaving = _ceil_div(output_lanes, self.granule)
            waits = self.granule > 1 or self.output_bits > 0
            if not waits or leaving <= _ceil_div(self.inputs, input_lanes):
                yield input_lanes, output_lanes

    def _whole(self, lanes: int, extent: int) -> int:
        """At least as many lanes in whole granules, or all of ``extent``."""
        return min(_ceil_div(lanes, self.granule) * self.granule, extent)

    @property
    def input_lanes(self) -> int:
        """Reduction elements consumed in one step."""
        return self._cut[0]

    @property
    def output_lanes(self) -> int:
        """Results worked on in one step."""
        return self._cut[1]

    @property
    def lanes(self) -> int:
        """Lanes that exist in hardware."""
        return self.input_lanes * self.output_lanes

    @property
    def input_steps(self) -> int:
        """Steps until a block of results is complete."""
        return _ceil_div(self.inputs, self.input_lanes)

    @property
    def output_steps(self) -> int:
        """Blocks of results per token."""
        return _ceil_div(self.outputs, self.output_lanes)

    @property
    def steps(self) -> int:
        """Cycles per token in which the array works; at most ``cycles``."""
        return self.input_steps * self.output_steps

    def block(self, step: int) -> tuple[range, range]:
        """Index ranges ``(inputs, outputs)`` of the block of ``step``."""
        output_step, input_step = divmod(step, self.input_steps)
        return (
            _span(input_step, self.input_lanes, self.inputs),
            _span(output_step, self.output_lanes, self.outputs),
        )

    def rows(self, matrix: np.ndarray) -> np.ndarray:
        """Elements of each step: int64 [steps, lanes] of a matrix [inputs, outputs].

        Lane = output · input_lanes + input. Lanes beyond the edge hold 0.
        """
        rows = np.zeros((self.steps, self.output_lanes, self.input_lanes), dtype=np.int64)
        for step in range(self.steps):
            inputs, outputs = self.block(step)
            block = matrix[inputs.start : inputs.stop, outputs.start : outputs.stop]
            rows[step, : len(outputs), : len(inputs)] = block.T
        return rows.reshape(self.steps, -1)


class Stream(Fold):
    """A fold that works on elements as they come: ``granule`` inputs and all outputs in a step.

    So its results are there soon after the last element, and no vector is kept. Those of a vector
    leave while the next one comes, so there are no more outputs than inputs.
    """

    def _cuts(self) -> Iterator[tuple[int, int]]:
        yield min(self.granule, self.inputs), self.outputs


def _span(index, lanes, extent):
    return range(index * lanes, min((index + 1) * lanes, extent))


def _ceil_div(a, b):
    return -(-a // b)
