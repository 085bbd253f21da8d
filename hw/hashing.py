# amaranth: UnusedElaboratable=no
"""Kernelized hash of one token every k cycles; the bits of ``golden/integer/hashing.py``.

Four folded stages work on consecutive tokens at the same time, on a fixed schedule:

    squared norm and its reciprocal root ─► dot products ─► kernel table ─► projection

The dot products run ``RootUnit.LATENCY`` cycles behind the norm, so both meet at the kernel stage
without a buffer.
"""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ecoformer.arithmetic import KERNEL_WIDTH, SHIFT_WIDTH, Arithmetic
from ecoformer.layout import Layout
from hw.kernel import KernelLane, RootUnit
from hw.parameters import ParameterMemory, ParameterWrite
from hw.pipeline import Steps, adder_tree, block_of, delay, register, tree_latency
from hw.product import MatrixVector

__all__ = ["KernelHash"]


class KernelHash(wiring.Component):
    """Binary code of every token, in order.

    Accepts one token every k cycles; a code is offered ``latency`` cycles after its token was
    taken. Results wait in a buffer as deep as the pipeline, so a stalled output loses nothing.

    Parameters
    ----------
    config : Config
    slots : int
        Parameter slots.

    Members
    -------
    write : ``In(ParameterWrite)``
    i : ``In(stream.Signature({x: D × signed(token_width), slot}))``
    shift : ``In(5)``
        Scalar parameter of the token on ``i``, sampled the cycle after it is taken.
    o : ``Out(stream.Signature(b))``
        Bit r is 1 where h_r = +1.
    """

    def __init__(self, config, slots):
        self.config = config
        self.slots = slots
        self.bits = Arithmetic(config)
        self.layout = Layout(config)
        token = data.StructLayout(
            {
                "x": data.ArrayLayout(signed(config.token_width), config.head_dim),
                "slot": ceil_log2(slots),
            }
        )
        super().__init__(
            {
                "write": In(ParameterWrite(slots)),
                "i": In(stream.Signature(token)),
                "shift": In(SHIFT_WIDTH),
                "o": Out(stream.Signature(config.code_bits)),
            }
        )
        dot, projection = config.dot_fold, config.projection_fold
        self.norm_latency = 1 + tree_latency(dot.input_lanes) + 1
        self.dots = MatrixVector(dot, signed(config.token_width), self.bits.dot_width)
        self.project = MatrixVector(
            projection, unsigned(KERNEL_WIDTH), self.bits.projection_width
        )

    @property
    def dot_lag(self):
        """Cycles the dot products run behind the norm, to meet its reciprocal root."""
        # Norm and dot products take equally long after their last block.
        return RootUnit.LATENCY + self.norm_latency - self.dots.latency

    @property
    def latency(self):
        """Cycles from taking a token to offering its code."""
        layout, dot, projection = self.layout, self.config.dot_fold, self.config.projection_fold
        dots = dot.steps + self.dot_lag + self.dots.latency
        kernel = layout.kernel_block_steps + 1 + KernelLane.LATENCY + 1
        project = projection.steps + 1 + self.project.latency
        compare_and_buffer = 1 + 2
        return dots + kernel + project + compare_and_buffer

    @property
    def depth(self):
        """Tokens that may be inside at once."""
        return -(-self.latency // self.config.cycles_per_token) + 2

    def elaborate(self, platform):
        m = Module()
        c = self.config

        # One token every k cycles, as long as its code will find room in the buffer.
        m.submodules.codes = codes = SyncFIFOBuffered(width=c.code_bits, depth=self.depth)
        inside = Signal(range(self.depth + 1))
        wait = Signal(range(c.cycles_per_token))
        start = Signal()
        leave = Signal()
        m.d.comb += [
            self.i.ready.eq((wait == 0) & (inside != self.depth)),
            start.eq(self.i.valid & self.i.ready),
            leave.eq(self.o.valid & self.o.ready),
            self.o.valid.eq(codes.r_rdy),
            self.o.payload.eq(codes.r_data),
            codes.r_en.eq(self.o.ready),
        ]
        m.d.sync += inside.eq(inside + start - leave)
        with m.If(start):
            m.d.sync += wait.eq(c.cycles_per_token - 1)
        with m.Elif(wait != 0):
            m.d.sync += wait.eq(wait - 1)

        token = Signal(self.i.payload.shape(), reset_less=True)
        with m.If(start):
            m.d.sync += token.eq(self.i.payload)

        root, exponent, shift, slot, dots = self._dot_stage(m, start, token)
        slot, kernel_done, kernel = self._kernel_stage(m, dots, root, exponent, shift, slot)
        code_done, code = self._projection_stage(m, kernel_done, kernel, slot)
        m.d.comb += [codes.w_en.eq(code_done), codes.w_data.eq(code)]
        return m

    def _memory(self, m, name):
        region = ParameterMemory(self.layout.regions[name], self.slots)
        m.submodules[name] = region
        wiring.connect(m, wiring.flipped(self.write), region.write)
        return region

    def _dot_stage(self, m, start, token):
        """Norm and dot products of the token; scalars are held while its dots leave."""
        c, fold, dots = self.config, self.config.dot_fold, self.dots
        m.submodules.dot_steps = steps = Steps(fold.input_steps, fold.output_steps)
        m.submodules.root = root_unit = RootUnit(c)
        m.submodules.dots = dots
        anchors = self._memory(m, "anchors")
        m.d.comb += steps.start.eq(start)

        block = Signal(data.ArrayLayout(signed(c.token_width), fold.input_lanes))
        m.d.comb += block.as_value().eq(
            block_of(token.x.as_value(), steps.input_step, len(block.as_value()))
        )

        # Squared norm, during the first output block.
        squares = [
            register(m, element * element, name=f"square_{i}") for i, element in enumerate(block)
        ]
        norm = Signal(self.bits.norm_width, reset_less=True)
        norm_first = delay(m, steps.first, self.norm_latency - 1, name="norm_first")
        m.d.sync += norm.eq(Mux(norm_first, 0, norm) + adder_tree(m, squares, name="norm_sum"))
        m.d.comb += root_unit.norm.eq(norm)

        # Dot products, behind it; the memory's own cycle is one of the lag.
        lag = self.dot_lag
        m.d.comb += [
            anchors.slot.eq(delay(m, token.slot, lag - 1, name="anchor_slot")),
            anchors.row.eq(delay(m, steps.step, lag - 1, name="anchor_row")),
            dots.matrix.eq(anchors.elements),
            dots.vector.as_value().eq(delay(m, block.as_value(), lag, name="block")),
            dots.first.eq(delay(m, steps.first, lag, name="dot_first", reset=True)),
            dots.last.eq(delay(m, steps.last, lag, name="dot_last", reset=True)),
        ]

        # The first block of dots leaves when the root is ready: hold both for the whole token.
        norm_last = steps.last & (steps.output_step == 0)
        waited = lag + dots.latency
        capture = delay(m, norm_last, waited, name="capture", reset=True)
        root = Signal(root_unit.root.shape())
        exponent = Signal(root_unit.exponent.shape())
        shift = Signal(SHIFT_WIDTH)
        slot = Signal(ceil_log2(self.slots))
        token_shift = Signal(SHIFT_WIDTH)
        with m.If(register(m, start, name="shift_ready")):
            m.d.sync += token_shift.eq(self.shift)
        waited_shift = delay(m, token_shift, waited - 1, name="token_shift")
        waited_slot = delay(m, token.slot, waited, name="token_slot")
        with m.If(capture):
            m.d.sync += [
                root.eq(root_unit.root),
                exponent.eq(root_unit.exponent),
                shift.eq(waited_shift),
                slot.eq(waited_slot),
            ]
        return root, exponent, shift, slot, dots

    def _kernel_stage(self, m, dots, root, exponent, shift, slot):
        """κ of the anchors, a few per cycle, collected into the kernel vector."""
        layout, fold = self.layout, self.config.dot_fold
        lanes, block_steps = layout.kernel_lanes, layout.kernel_block_steps
        bias = self._memory(m, "bias")
        m.submodules.kernel_steps = steps = Steps(block_steps, 1)
        m.d.comb += steps.start.eq(dots.valid)

        padded = lanes * block_steps * self.bits.dot_width
        waiting = Signal(padded, reset_less=True)
        with m.If(dots.valid):
            m.d.sync += waiting.eq(Cat(*(Value.cast(dot) for dot in dots.results)))
        with m.Else():
            m.d.sync += waiting.eq(waiting >> lanes * self.bits.dot_width)

        row = Signal(range(layout.kernel_steps))
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
                lane.dot.eq(register(m, dot, name=f"dot_{i}")),
                lane.root.eq(register(m, root, name=f"root_{i}")),
                lane.exponent.eq(register(m, exponent, name=f"exponent_{i}")),
                lane.shift.eq(register(m, shift, name=f"shift_{i}")),
                lane.bias.eq(bias.elements[i]),
            ]
            kernels.append(lane.kernel)

        travel = 1 + KernelLane.LATENCY
        position = delay(m, row, travel, name="position")
        valid = delay(m, steps.active, travel, name="kernel_valid", reset=True)
        collected = Array(
            Signal(KERNEL_WIDTH, name=f"collected_{j}", reset_less=True)
            for j in range(self.config.anchors)
        )
        for anchor, (home, lane) in enumerate(layout.kernel_places):
            with m.If(valid & (position == home)):
                m.d.sync += collected[anchor].eq(kernels[lane])
        finished = delay(m, done, travel + 1, name="kernel_done", reset=True)
        finished_slot = delay(m, slot, travel + 1, name="kernel_slot")
        return finished_slot, finished, Cat(*collected)

    def _projection_stage(self, m, start, kernel, slot):
        """Projection of the kernel vector, compared with the thresholds."""
        c, fold, project = self.config, self.config.projection_fold, self.project
        m.submodules.projection_steps = steps = Steps(fold.input_steps, fold.output_steps)
        m.submodules.project = project
        matrix, threshold = self._memory(m, "projection"), self._memory(m, "threshold")
        m.d.comb += steps.start.eq(start)

        vector = Signal(len(kernel), reset_less=True)
        held_slot = Signal(len(slot))
        with m.If(start):
            m.d.sync += [vector.eq(kernel), held_slot.eq(slot)]
        block_bits = fold.input_lanes * KERNEL_WIDTH
        m.d.comb += [
            matrix.slot.eq(held_slot),
            matrix.row.eq(steps.step),
            project.matrix.eq(matrix.elements),
            project.vector.as_value().eq(
                register(m, block_of(vector, steps.input_step, block_bits), name="vector_block")
            ),
            project.first.eq(delay(m, steps.first, 1, name="first", reset=True)),
            project.last.eq(delay(m, steps.last, 1, name="last", reset=True)),
            threshold.slot.eq(delay(m, held_slot, project.latency, name="threshold_slot")),
            threshold.row.eq(delay(m, steps.output_step, project.latency, name="threshold_row")),
        ]

        bits = Cat(
            result >= level[: self.bits.projection_width].as_signed()
            for result, level in zip(project.results, threshold.elements, strict=True)
        )
        code = Signal(fold.output_steps * fold.output_lanes, reset_less=True)
        with m.If(project.valid):
            m.d.sync += code.eq(Cat(code, bits)[fold.output_lanes :])
        done = delay(m, steps.done, 1 + project.latency + 1, name="done", reset=True)
        return done, code[: c.code_bits]
