# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The kernelized hash, in four folded stages.

They work on consecutive tokens at the same time, on a fixed schedule:

    squared norm and its reciprocal root ─► dot products ─► kernel table ─► projection

The dot products trail the norm by ``RbfHash.dot_lag`` cycles, so that they reach the kernel stage
together with its root, without a buffer.
"""

from typing import cast

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import connect, flipped

from ecoformer.hw.hash.kernel import KernelLane
from ecoformer.hw.hash.projection import Projection, SerialProjection
from ecoformer.hw.hash.unit import WAITING, HashUnit
from ecoformer.hw.lib.element_queue import ElementQueue
from ecoformer.hw.lib.matrix_vector import MatrixVector
from ecoformer.hw.lib.pipeline import adder_tree, block_of, delay, register, tree_latency
from ecoformer.hw.lib.root import RootUnit
from ecoformer.hw.lib.steps import Steps
from ecoformer.hw.parameters.memory import ParameterMemory, Slots
from ecoformer.spec.arithmetic import SHIFT_WIDTH
from ecoformer.spec.config import Config
from ecoformer.spec.families.rbf import KernelHash
from ecoformer.spec.tables import KERNEL_WIDTH

__all__ = ["RbfHash", "SerialRbfHash"]


class RbfHash(HashUnit):
    """`HashUnit` for the kernelized hash.

    Members
    -------
    shift : ``In(5)``
        Scalar parameter of the token on ``i``, sampled when its memory has answered.
    """

    scalars = {"shift": SHIFT_WIDTH}
    projection_class = Projection

    def __init__(self, config: Config, slots: Slots):
        super().__init__(config, slots)
        self.family = cast(KernelHash, config.family)
        dot = config.dot_fold
        # Block, operand, square, sum, norm.
        self.norm_latency = 3 + tree_latency(dot.input_lanes) + 1
        self.dots = MatrixVector(
            dot.input_lanes, dot.output_lanes, signed(config.token_width), self.bits.dot_width,
            self.bits.weights,
        )
        self.projection = self.projection_class(config, slots, unsigned(KERNEL_WIDTH), 2)

    @classmethod
    def fits(cls, config: Config) -> bool:
        return config.hash == "rbf"

    @property
    def dot_lag(self) -> int:
        """Cycles by which the dot products trail the norm, to meet its reciprocal root."""
        return RootUnit.LATENCY + self.norm_latency - self.dots.latency

    @property
    def pipeline_latency(self) -> int:
        family, dot = self.family, self.config.dot_fold
        dots = dot.steps + self.dot_lag + self.dots.latency
        kernel = family.kernel_block_steps + ParameterMemory.LATENCY + KernelLane.LATENCY + 1
        return dots + kernel + self.projection.latency

    def pipeline(self, m: Module, start: Value) -> tuple[Value, Value]:
        # Loaded even if nothing starts: anything that is not a token is overwritten before use, and
        # the input path need not reach the enable of every bit.
        token = Signal(self.i.payload.shape(), reset_less=True)
        with m.If(self.i.ready):
            m.d.sync += token.eq(self.i.payload)
        root, exponent, shift, slot, dots_done = self._dot_stage(m, start, token)
        m.submodules.projection = projection = self.projection
        connect(m, flipped(self.write), projection.write)
        slot, kernel_done = self._kernel_stage(m, dots_done, root, exponent, shift, slot)
        m.d.comb += [
            projection.start.eq(kernel_done),
            projection.slot.eq(slot),
            self.busy.projection_products.eq(projection.active),
        ]
        return projection.done, projection.code

    def _dot_stage(self, m, start, token):
        """Norm and dot products of the token; its scalars are held while they leave."""
        c, fold, dots = self.config, self.config.dot_fold, self.dots
        m.submodules.dot_steps = steps = Steps(fold.input_steps, fold.output_steps)
        m.submodules.root = root_unit = RootUnit(self.bits.norm_width)
        m.submodules.dots = dots
        anchors = self.memory(m, "anchors")
        m.d.comb += [
            steps.start.eq(start),
            self.busy.squared_norm.eq(steps.active & steps.output_block[0]),
            self.busy.dot_products.eq(steps.active),
        ]

        layout = data.ArrayLayout(signed(c.token_width), fold.input_lanes)
        block = data.View(layout, self._block(m, start, token, steps, layout.size))

        # Squared norm, during the first output block.
        operands = [register(m, element, name=f"operand_{i}") for i, element in enumerate(block)]
        squares = [
            register(m, element * element, name=f"square_{i}")
            for i, element in enumerate(operands)
        ]
        norm = Signal(self.bits.norm_width, reset_less=True)
        norm_first = delay(m, steps.first, self.norm_latency - 1, name="norm_first")
        m.d.sync += norm.eq(Mux(norm_first, 0, norm) + adder_tree(m, squares, name="norm_sum"))
        m.d.comb += root_unit.norm.eq(norm)

        # Dot products, behind it; the memory's own cycles are part of the lag.
        lag, memory_time = self.dot_lag, ParameterMemory.LATENCY
        m.d.comb += [
            Cat(anchors.row, anchors.slot).eq(
                delay(m, Cat(steps.step, token.slot), lag - memory_time, name="anchor")
            ),
            dots.matrix.as_value().eq(anchors.elements.as_value()),
            dots.vector.as_value().eq(delay(m, block.as_value(), lag - 1, name="block")),
            dots.first.eq(delay(m, steps.first, lag, name="dot_first", reset=True)),
        ]

        # The first block of dots leaves when the root is ready: hold both for the whole token.
        norm_last = steps.last & steps.output_block[0]
        waited = lag + dots.latency
        done = delay(m, steps.last, waited, name="dots_done", reset=True)
        capture = delay(m, norm_last, waited, name="capture", reset=True)
        root = Signal(root_unit.root.shape())
        exponent = Signal(root_unit.exponent.shape())
        shift = Signal(SHIFT_WIDTH)
        slot = Signal(self.slots.bits)
        token_shift = Signal(SHIFT_WIDTH)
        with m.If(delay(m, start, memory_time, name="shift_ready")):
            m.d.sync += token_shift.eq(self.shift)
        waited_shift = delay(m, token_shift, waited - memory_time, name="token_shift")
        waited_slot = delay(m, token.slot, waited, name="token_slot")
        with m.If(capture):
            m.d.sync += [
                root.eq(root_unit.root),
                exponent.eq(root_unit.exponent),
                shift.eq(waited_shift),
                slot.eq(waited_slot),
            ]
        return root, exponent, shift, slot, done

    def _kernel_stage(self, m, dots_done, root, exponent, shift, slot):
        """κ of the anchors, a few per cycle, passed to the projection."""
        family, fold = self.family, self.config.dot_fold
        lanes, block_steps = family.kernel_lanes, family.kernel_block_steps
        bias = self.memory(m, "bias")
        m.submodules.kernel_steps = steps = Steps(block_steps, 1)
        m.d.comb += [steps.start.eq(dots_done), self.busy.kernel_values.eq(steps.active)]

        padded = lanes * block_steps * self.bits.dot_width
        waiting = Signal(padded, reset_less=True)
        with m.If(dots_done):
            m.d.sync += waiting.eq(Cat(*(Value.cast(dot) for dot in self.dots.results)))
        with m.Else():
            m.d.sync += waiting.eq(waiting >> lanes * self.bits.dot_width)

        row = Signal(range(family.kernel_steps))
        block = Signal(range(fold.output_steps))
        last_block = block == fold.output_steps - 1
        done = Signal()
        m.d.comb += done.eq(steps.last & last_block)
        with m.If(steps.active):
            m.d.sync += row.eq(Mux(done, 0, row + 1))
        with m.If(steps.last):
            m.d.sync += block.eq(Mux(last_block, 0, block + 1))

        kernels = []
        m.d.comb += [bias.slot.eq(slot), bias.row.eq(row)]
        for i in range(lanes):
            m.submodules[f"kernel_{i}"] = lane = KernelLane(self.config)
            dot = waiting[i * self.bits.dot_width : (i + 1) * self.bits.dot_width].as_signed()
            m.d.comb += [
                lane.dot.eq(delay(m, dot, ParameterMemory.LATENCY, name=f"dot_{i}")),
                lane.root.eq(delay(m, root, ParameterMemory.LATENCY, name=f"root_{i}")),
                lane.exponent.eq(
                    delay(m, exponent, ParameterMemory.LATENCY, name=f"exponent_{i}")
                ),
                lane.shift.eq(delay(m, shift, ParameterMemory.LATENCY, name=f"shift_{i}")),
                lane.bias.eq(bias.elements[i]),
            ]
            kernels.append(lane.kernel)

        travel = ParameterMemory.LATENCY + KernelLane.LATENCY
        position = delay(m, row, travel, name="position")
        valid = delay(m, steps.active, travel, name="kernel_valid", reset=True)
        finished = delay(m, done, travel + 1, name="kernel_done", reset=True)
        self._project(m, kernels, valid, position, finished)
        return delay(m, slot, travel + 1, name="kernel_slot"), finished

    def _block(self, m, start, token, steps, width):
        """Elements of a step, a cycle later."""
        return register(m, block_of(token.x.as_value(), steps.input_block, width), name="block")

    def _project(self, m, kernels, valid, position, finished):
        """Collect the ``kernels`` of every row for the projection."""
        collected = Array(
            Signal(KERNEL_WIDTH, name=f"collected_{j}", reset_less=True)
            for j in range(self.config.anchors)
        )
        for anchor, (row, lane) in enumerate(self.family.kernel_slots):
            with m.If(valid & (position == row)):
                m.d.sync += collected[anchor].eq(kernels[lane])
        m.d.comb += self.projection.vector.eq(Cat(*collected))


class SerialRbfHash(RbfHash):
    """`RbfHash` of elements that come one at a time."""

    projection_class = SerialProjection

    @classmethod
    def fits(cls, config: Config) -> bool:
        return super().fits(config) and config.is_serial

    def _block(self, m, start, token, steps, width):
        element = signed(self.config.token_width)
        m.submodules.tokens = tokens = ElementQueue(self.config.head_dim, element, WAITING)
        connect(m, flipped(self.i.x), tokens.write)
        m.d.comb += [tokens.follow.eq(start), tokens.index.eq(steps.input_step)]
        return tokens.element

    def _project(self, m, kernels, valid, position, finished):
        elements = self.projection.elements  # one lane, hence a row is an anchor
        m.d.comb += [
            elements.enable.eq(valid),
            elements.index.eq(position),
            elements.data.eq(kernels[0]),
            elements.done.eq(finished),
        ]
