# SPDX-License-Identifier: Apache-2.0
"""Linear layers: matrix times vector, bias, shift, saturation."""

from itertools import repeat

import numpy as np
from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ecoformer.hw.lib.loading import LoadChain, load_ports
from ecoformer.hw.lib.matrix_vector import MatrixVector
from ecoformer.hw.lib.pipeline import delay, register
from ecoformer.hw.lib.products import ADDERS
from ecoformer.hw.lib.steps import Steps
from ecoformer.hw.network.link import TokenLink, elements_of, lane_name, send
from ecoformer.hw.network.passes import Passes
from ecoformer.hw.network.requantise import REQUANTISE_LATENCY, requantise
from ecoformer.hw.network.token_buffer import TokenBuffer
from ecoformer.spec.folding import Fold, Stream
from ecoformer.spec.network.layers import MAX_SHIFT, LinearShape
from ecoformer.spec.network.memories import LinearRows

__all__ = ["Linear", "StreamedLinear", "linear_class"]

MEMORY_LATENCY = 2
"""Cycles of a memory of parameters: block RAM takes most of one, so its output is registered."""
LEAST_SLOTS = 4
"""Tokens that a layer keeps which is as fast as the one before it, and has a short way from it."""
MARGIN = 6
"""Cycles for which a slot is taken beyond those in which its token arrives and is worked on."""


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
    entering : int
        Cycles from the announcement of a token to its last element.
    cycles : int
        A token may begin every so many cycles.
    loads : bool
        Whether its parameters can be loaded, through `load_ports`.
    passes : Passes or None
        Where it is several layers in turn; then weights, bias and shift have one more dimension,
        the first, for which it is.

    Members
    -------
    i : ``In(TokenLink(input_width, lanes))``
    o : ``Out(TokenLink(result_width, lanes))``
        Where ``lanes`` is the granule of the fold.
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
        *,
        entering: int = 0,
        cycles: int = 1 << 30,
        loads: bool = False,
        passes: Passes | None = None,
    ):
        self.shape = shape
        self.passes = passes
        self.rows = LinearRows(shape, fold)
        self.entering = entering
        self.slots = max(LEAST_SLOTS, -(-(entering + fold.steps + MARGIN) // cycles))
        self.fold = fold
        self.lanes = fold.granule
        self.weights = weights
        self.bias = bias
        self.shift = shift
        self.product = MatrixVector(
            fold.input_lanes, fold.output_lanes, signed(shape.input_width), shape.product_width,
            shape.weights, ADDERS if shape.by_adders else None,
        )
        super().__init__(
            {
                "i": In(TokenLink(shape.input_width, self.lanes)),
                "o": Out(TokenLink(shape.result_width, self.lanes)),
                "busy": Out(1),
                **load_ports(loads),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from ``o.begin`` to the token's last element."""
        return self.fold.steps + self._after_last_step

    @property
    def _after_last_step(self):
        beats = self._block_beats
        spread = beats if beats > 1 else 0
        return MEMORY_LATENCY + self.product.latency + spread + 1 + self._requantise_latency

    @property
    def _requantise_latency(self):
        return REQUANTISE_LATENCY if self.shape.output_width else 0

    def elaborate(self, platform) -> Module:
        m = Module()
        fold, product = self.fold, self.product
        m.submodules.buffer = buffer = TokenBuffer(
            self.shape.inputs, self.shape.input_width, -(-fold.input_lanes // self.lanes)
            * self.lanes, self.slots, self.lanes,
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
        chain = LoadChain(m, self)
        row = self._weights(m, chain, steps.step, steps.done)
        late = MEMORY_LATENCY - TokenBuffer.LATENCY
        elements = buffer.elements.as_value()[: len(product.vector.as_value())]
        if self._real < fold.input_lanes:
            ends = delay(m, steps.last, TokenBuffer.LATENCY, name="ends", reset=True)
            elements = self._without_padding(elements, ends)
        m.d.comb += [
            product.matrix.as_value().eq(row),
            product.vector.as_value().eq(delay(m, elements, late, name="vector")),
            product.first.eq(delay(m, steps.first, MEMORY_LATENCY, name="first", reset=True)),
        ]
        self._results(m, chain, steps.last)
        chain.end()
        return m

    @property
    def _real(self):
        """Inputs in the last step of a block."""
        return self.fold.inputs - (self.fold.input_steps - 1) * self.fold.input_lanes

    def _without_padding(self, elements, ends):
        """``elements`` with 0 for what is none of the last step, ``ends``.

        Their weights are 0, too, but in a simulation what was never written times 0 is undefined.
        """
        real = self._real * self.shape.input_width
        return Cat(elements[:real], elements[real:] & ~ends.replicate(len(elements) - real))

    def _weights(self, m, chain, step, done):
        """The encoded weights of a step; ``done`` strobes the last one of a token."""
        of_layers = self.weights.reshape(-1, self.shape.inputs, self.shape.outputs)
        rows = [self.rows.weights(weights) for weights in of_layers]
        return self._memory(m, chain, "weights", self.rows.weight_bits, rows, step, done)

    def _results(self, m, chain, last):
        """Send the results of the block of which ``last`` strobes the last step."""
        # What is added to a result is read while its last product is on its way.
        soon = delay(m, last, self.product.latency, name="soon", reset=True)
        summed = delay(m, soon, MEMORY_LATENCY, name="summed", reset=True)
        self._send(m, chain, *self._one_by_one(m, soon, summed))

    def _one_by_one(self, m, soon, summed):
        """The results of a block, as many a cycle as leave.

        Returns a strobe ``MEMORY_LATENCY`` cycles before there are some, and the results.
        """
        lanes, beats, width = self.lanes, self._block_beats, self.shape.product_width
        results = self.product.results.as_value()
        if beats > 1:
            # A block takes at least as many cycles as its outputs.
            assert beats <= self.fold.input_steps
            waiting = Signal(beats * lanes * width, reset_less=True)
            left = Signal(range(beats + 1))
            m.d.sync += waiting.eq(Mux(summed, results, waiting >> lanes * width))
            m.d.sync += left.eq(Mux(soon, beats, left - (left != 0)))
            soon, results = left != 0, waiting
        # A layer of fewer outputs than leave at once has padding.
        ends = [min((lane + 1) * width, len(results)) for lane in range(lanes)]
        return soon, [results[end - width : end].as_signed() for end in ends]

    @property
    def _block_beats(self):
        """Cycles in which the results of a block leave."""
        return -(-self.fold.output_lanes // self.lanes)

    def _send(self, m, chain, soon, results):
        """Bias, shift, saturation; results beyond the last output are dropped.

        ``soon`` strobes ``MEMORY_LATENCY`` cycles before ``results``.
        """
        shape, lanes = self.shape, self.lanes
        padded = self.fold.output_steps * self._block_beats
        outputs = -(-shape.outputs // lanes)
        index = Signal(range(padded))
        with m.If(soon):
            m.d.sync += index.eq(Mux(index == padded - 1, 0, index + 1))
        layout = data.StructLayout({"bias": signed(shape.sum_width), "shift": range(MAX_SHIFT + 1)})
        biases = self.bias.reshape(-1, shape.outputs)
        shifts = repeat(None) if self.shift is None else self.shift.reshape(biases.shape)
        rows = [self.rows.constants(*both) for both in zip(biases, shifts)]
        done = soon & (index == padded - 1)
        row = self._memory(m, chain, "constants", lanes * layout.size, rows, index, done)
        real = soon if padded == outputs else soon & (index < outputs)
        elements = []
        for lane, result in enumerate(results):
            def named(name, lane=lane):
                return lane_name(name, lane, lanes)

            constants = data.View(layout, row[lane * layout.size : (lane + 1) * layout.size])
            total = register(
                m, (result + constants.bias)[: shape.sum_width].as_signed(), name=named("total")
            )
            element = total
            if shape.output_width:
                shift = register(m, constants.shift, name=named("shift"))
                element = requantise(m, total, shift, shape.output_width, name=named("element"))
            elements.append(element)
        travel = MEMORY_LATENCY + 1 + self._requantise_latency
        m.d.comb += [
            *send(self.o, elements),
            self.o.valid.eq(delay(m, real, travel, name="valid", reset=True)),
        ]

    def _memory(self, m, chain, name, width, rows, address, done):
        """The row of a memory at ``address``, ``MEMORY_LATENCY`` cycles later.

        Of the layer for which this is, of which ``done`` strobes the last address for a token.
        """
        read = chain.memory(name, width, [row for of_layer in rows for row in of_layer]).read_port()
        if self.passes:
            address = address + self.passes.block_of_tokens(m, done, stride=len(rows[0]), name=name)
        m.d.comb += read.addr.eq(address)
        return register(m, read.data[:width], name=f"{name}_row")


class StreamedLinear(Linear):
    """`Linear` that works on elements as they come; it keeps no token, so its room is that behind.
    """

    @property
    def latency(self) -> int:
        """Cycles from ``o.begin`` to the token's last element: those to come, and these."""
        return self.entering + self._after_last_step

    def elaborate(self, platform) -> Module:
        m = Module()
        product, beats = self.product, self.fold.input_steps
        m.submodules.product = product
        beat = Signal(range(beats))
        first, last = Signal(), Signal()
        m.d.comb += [
            first.eq(self.i.valid & (beat == 0)),
            last.eq(self.i.valid & (beat == beats - 1)),
            self.i.room.eq(self.o.room),
            self.o.begin.eq(self.i.begin),
            self.busy.eq(self.i.valid),
        ]
        with m.If(self.i.valid):
            m.d.sync += beat.eq(Mux(last, 0, beat + 1))
        chain = LoadChain(m, self)
        row = self._weights(m, chain, beat, last)
        # Between elements zeros are added up.
        elements = Cat(elements_of(self.i))[: len(product.vector.as_value())]
        elements &= self.i.valid.replicate(len(elements))
        if self._real < self.fold.input_lanes:
            elements = self._without_padding(elements, last)
        m.d.comb += [
            product.matrix.as_value().eq(row),
            product.vector.as_value().eq(delay(m, elements, MEMORY_LATENCY, name="vector")),
            product.first.eq(delay(m, first, MEMORY_LATENCY, name="first", reset=True)),
        ]
        self._results(m, chain, last)
        chain.end()
        return m


def linear_class(fold: Fold) -> type[Linear]:
    """The layer that works as ``fold`` says."""
    return StreamedLinear if isinstance(fold, Stream) else Linear
