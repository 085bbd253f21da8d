# SPDX-License-Identifier: Apache-2.0
"""Linear layers: matrix times vector, bias, shift, saturation."""

import numpy as np
from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ecoformer.hw.lib.contents import CONTENTS
from ecoformer.hw.lib.matrix_vector import MatrixVector
from ecoformer.hw.lib.pipeline import delay, register
from ecoformer.hw.lib.steps import Steps
from ecoformer.hw.network.link import TokenLink
from ecoformer.hw.network.requantise import REQUANTISE_LATENCY, requantise
from ecoformer.hw.network.token_buffer import TokenBuffer
from ecoformer.spec.folding import Fold
from ecoformer.spec.network.layers import MAX_SHIFT, LinearShape

__all__ = ["Linear"]

MEMORY_LATENCY = 2
"""Cycles of a memory of parameters: block RAM takes most of one, so its output is registered."""


class Linear(wiring.Component):
    """A linear layer of a network, folded over at most k cycles a token.

    Parameters
    ----------
    shape : LinearShape
    fold : Fold
        How the layer is spread over its cycles.
    weights : int64 array [inputs, outputs]
    bias : int64 array [outputs]
    shift : int64 array [outputs] or None
        None where sums leave the layer as they are.

    Members
    -------
    i : ``In(TokenLink(input_width))``
    o : ``Out(TokenLink(result_width))``
    busy : ``Out(1)``
        The lanes are at work.
    """

    def __init__(
        self,
        shape: LinearShape,
        fold: Fold,
        weights: np.ndarray,
        bias: np.ndarray,
        shift: np.ndarray | None = None,
    ):
        self.shape = shape
        self.fold = fold
        self.weights = weights
        self.bias = bias
        self.shift = np.zeros_like(bias) if shift is None else shift
        self.product = MatrixVector(
            fold.input_lanes, fold.output_lanes, signed(shape.input_width), shape.product_width,
            shape.weights,
        )
        super().__init__(
            {
                "i": In(TokenLink(shape.input_width)),
                "o": Out(TokenLink(shape.result_width)),
                "busy": Out(1),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from ``o.begin`` to the token's last element."""
        to_result = self.fold.steps + MEMORY_LATENCY + self.product.latency
        spread = self.fold.output_lanes if self.fold.output_lanes > 1 else 0
        return to_result + spread + MEMORY_LATENCY + 1 + self._requantise_latency

    @property
    def _requantise_latency(self):
        return REQUANTISE_LATENCY if self.shape.output_width else 0

    def elaborate(self, platform) -> Module:
        m = Module()
        fold, product = self.fold, self.product
        m.submodules.buffer = buffer = TokenBuffer(
            self.shape.inputs, self.shape.input_width, fold.input_lanes
        )
        m.submodules.steps = steps = Steps(fold.input_steps, fold.output_steps)
        m.submodules.product = product
        connect(m, flipped(self.i), buffer.i)
        start = Signal()
        m.d.comb += [
            start.eq(buffer.complete & self.o.room & (~steps.active | steps.done)),
            steps.start.eq(start),
            buffer.take.eq(start),
            buffer.release.eq(steps.done),
            buffer.row.eq(steps.input_step),
            self.o.begin.eq(start),
            self.busy.eq(steps.active),
        ]
        row = self._memory(m, "weights", product.matrix.shape().size, self._rows, steps.step)
        late = MEMORY_LATENCY - TokenBuffer.LATENCY
        m.d.comb += [
            product.matrix.as_value().eq(row),
            product.vector.as_value().eq(
                delay(m, buffer.elements.as_value(), late, name="vector")
            ),
            product.first.eq(delay(m, steps.first, MEMORY_LATENCY, name="first", reset=True)),
        ]
        waited = MEMORY_LATENCY + product.latency
        summed = delay(m, steps.last, waited, name="summed", reset=True)
        self._send(m, *self._one_by_one(m, summed))
        return m

    def _one_by_one(self, m, summed):
        """The results of a block, one a cycle: whether there is one, and the result."""
        lanes, width = self.fold.output_lanes, self.shape.product_width
        if lanes == 1:
            return summed, self.product.results[0]
        # A block takes at least as many cycles as it has outputs.
        assert lanes <= self.fold.input_steps
        waiting = Signal(lanes * width, reset_less=True)
        left = Signal(range(lanes + 1))
        m.d.sync += waiting.eq(
            Mux(summed, self.product.results.as_value(), waiting >> width)
        )
        m.d.sync += left.eq(Mux(summed, lanes, left - (left != 0)))
        return left != 0, waiting[:width].as_signed()

    def _send(self, m, valid, result):
        """Bias, shift, saturation; results beyond the last output are dropped."""
        shape = self.shape
        padded = self.fold.output_steps * self.fold.output_lanes
        index = Signal(range(padded))
        with m.If(valid):
            m.d.sync += index.eq(Mux(index == padded - 1, 0, index + 1))
        layout = data.StructLayout({"bias": signed(shape.sum_width), "shift": range(MAX_SHIFT + 1)})
        words = [
            layout.const({"bias": int(b), "shift": int(s)}).as_value().value
            for b, s in zip(self.bias, self.shift, strict=True)
        ]
        constants = data.View(
            layout, self._memory(m, "constants", layout.size, words, index)
        )
        real = valid if padded == shape.outputs else valid & (index < shape.outputs)
        late = MEMORY_LATENCY
        result = delay(m, result, late, name="result")
        total = register(m, (result + constants.bias)[: shape.sum_width].as_signed(), name="total")
        element = total
        if shape.output_width:
            shift = register(m, constants.shift, name="shift")
            element = requantise(m, total, shift, shape.output_width, name="element")
        travel = late + 1 + self._requantise_latency
        m.d.comb += [
            self.o.element.eq(element),
            self.o.valid.eq(delay(m, real, travel, name="valid", reset=True)),
        ]

    @property
    def _rows(self):
        """Encoded weights of every step."""
        form = self.shape.weights
        return [
            sum(int(code) << lane * form.bits for lane, code in enumerate(row))
            for row in form.encode(self.fold.rows(self.weights))
        ]

    def _memory(self, m, name, width, rows, address):
        """The row of a memory at ``address``, ``MEMORY_LATENCY`` cycles later."""
        m.submodules[name] = rows = memory.Memory(
            shape=unsigned(width), depth=len(rows), init=rows, attrs=CONTENTS
        )
        read = rows.read_port()
        m.d.comb += read.addr.eq(address)
        return register(m, read.data, name=f"{name}_row")
