# amaranth: UnusedElaboratable=no
"""The hash families, one component each; the bits of ``golden/integer/hashing.py``.

The kernelized hash has four folded stages that work on consecutive tokens at the same time, on a
fixed schedule:

    squared norm and its reciprocal root ─► dot products ─► kernel table ─► projection

The dot products run so far behind the norm (``KernelHash.dot_lag``) that they meet its root at the
kernel stage without a buffer. The linear hash is the last stage alone.
"""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import In, connect, flipped
from amaranth.utils import ceil_log2

from ecoformer.hw.hash.kernel import KernelLane, RootUnit
from ecoformer.hw.hash.projection import Projection
from ecoformer.hw.hash.unit import HashUnit
from ecoformer.hw.lib.element_queue import ElementQueue
from ecoformer.hw.lib.matrix_vector import MatrixVector
from ecoformer.hw.lib.pipeline import Steps, adder_tree, block_of, delay, register, tree_latency
from ecoformer.hw.parameters.memory import ParameterMemory
from ecoformer.spec.arithmetic import SHIFT_WIDTH
from ecoformer.spec.tables import KERNEL_WIDTH

__all__ = ["CodeInput", "KernelHash", "LinearHash", "hash_unit"]

WAITING = 3
"""Tokens whose elements are there at once: one that comes, one that is offered, one in work."""


def hash_unit(config, slots):
    """The hash unit of the family that ``config`` names."""
    return FAMILIES[config.hash](config, slots)


class CodeInput(HashUnit):
    """No hash: the host sends the codes, or the tokens are compared. A `HashUnit` otherwise."""

    pipeline_latency = ParameterMemory.LATENCY

    def pipeline(self, m, start):
        """The code itself, when the token's other parameters are there too."""
        wait = self.pipeline_latency
        done = delay(m, start, wait, name="started", reset=True)
        return done, delay(m, Value.cast(self.i.payload.x), wait, name="code")


class LinearHash(HashUnit):
    """sign(W·x - t); without a multiplier where the weights need none. A `HashUnit` otherwise."""

    def __init__(self, config, slots):
        self.projection = Projection(config, slots, signed(config.token_width), WAITING)
        super().__init__(config, slots)

    @property
    def pipeline_latency(self):
        return self.projection.latency

    def pipeline(self, m, start):
        m.submodules.projection = projection = self.projection
        connect(m, flipped(self.write), projection.write)
        m.d.comb += [
            projection.start.eq(start),
            projection.slot.eq(self.i.payload.slot),
            self.busy.projection_products.eq(projection.active),
        ]
        if self.config.is_serial:
            connect(m, flipped(self.elements), projection.elements)
        else:
            m.d.comb += projection.vector.eq(self.i.payload.x.as_value())
        return projection.done, projection.code


class KernelHash(HashUnit):
    """The kernelized hash. A `HashUnit` otherwise.

    Members
    -------
    shift : ``In(5)``
        Scalar parameter of the token on ``i``, sampled when its memory has answered.
    """

    def __init__(self, config, slots):
        super().__init__(config, slots, {"shift": In(SHIFT_WIDTH)})
        dot = config.dot_fold
        # Block, operand, square, sum, norm.
        self.norm_latency = 3 + tree_latency(dot.input_lanes) + 1
        self.dots = MatrixVector(
            dot.input_lanes, dot.output_lanes, signed(config.token_width), self.bits.dot_width,
            self.bits.weights,
        )  # fmt: skip
        self.projection = Projection(config, slots, unsigned(KERNEL_WIDTH), 2)

    @property
    def dot_lag(self):
        """Cycles the dot products run behind the norm, to meet its reciprocal root."""
        return RootUnit.LATENCY + self.norm_latency - self.dots.latency

    @property
    def pipeline_latency(self):
        family, dot = self.config.family, self.config.dot_fold
        dots = dot.steps + self.dot_lag + self.dots.latency
        kernel = family.kernel_block_steps + ParameterMemory.LATENCY + KernelLane.LATENCY + 1
        return dots + kernel + self.projection.latency

    def pipeline(self, m, start):
        # What is offered while nothing starts is taken, too: it is replaced before it is used, and
        # the way from the pins need not reach every bit of it.
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
        """Norm and dot products of the token; scalars are held while its dots leave."""
        c, fold, dots = self.config, self.config.dot_fold, self.dots
        m.submodules.dot_steps = steps = Steps(fold.input_steps, fold.output_steps)
        m.submodules.root = root_unit = RootUnit(c)
        m.submodules.dots = dots
        anchors = self.memory(m, "anchors")
        m.d.comb += [
            steps.start.eq(start),
            self.busy.squared_norm.eq(steps.active & steps.output_block[0]),
            self.busy.dot_products.eq(steps.active),
        ]

        layout = data.ArrayLayout(signed(c.token_width), fold.input_lanes)
        if c.is_serial:
            m.submodules.tokens = tokens = ElementQueue(
                c.head_dim, signed(c.token_width), WAITING
            )
            connect(m, flipped(self.elements), tokens.write)
            m.d.comb += [tokens.follow.eq(start), tokens.index.eq(steps.input_step)]
            block = tokens.element
        else:
            block = register(
                m, block_of(token.x.as_value(), steps.input_block, layout.size), name="block"
            )
        block = data.View(layout, block)

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
        slot = Signal(ceil_log2(self.slots))
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
        """κ of the anchors, a few per cycle, handed to the projection."""
        family, fold = self.config.family, self.config.dot_fold
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
        if self.config.is_serial:  # one lane, hence a row is an anchor
            elements = self.projection.elements
            m.d.comb += [
                elements.enable.eq(valid),
                elements.index.eq(position),
                elements.data.eq(kernels[0]),
                elements.done.eq(finished),
            ]
        else:
            collected = Array(
                Signal(KERNEL_WIDTH, name=f"collected_{j}", reset_less=True)
                for j in range(self.config.anchors)
            )
            for anchor, (home, lane) in enumerate(family.kernel_slots):
                with m.If(valid & (position == home)):
                    m.d.sync += collected[anchor].eq(kernels[lane])
            m.d.comb += self.projection.vector.eq(Cat(*collected))
        return delay(m, slot, travel + 1, name="kernel_slot"), finished


FAMILIES = {"rbf": KernelHash, "linear": LinearHash, "codes": CodeInput, "none": CodeInput}
