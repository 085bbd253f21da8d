# amaranth: UnusedElaboratable=no
"""The projection that ends a hash: matrix times vector, each result compared with its threshold."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ecoformer.arithmetic import Arithmetic
from ecoformer.layout import Layout
from hw.elements import ElementQueue, ElementWrite
from hw.parameters import ParameterMemory, ParameterWrite
from hw.pipeline import Steps, block_of, delay, register
from hw.product import MatrixVector

__all__ = ["Projection"]


class Projection(wiring.Component):
    """Code of one vector, folded over at most k cycles.

    Latency: ``latency`` cycles from ``start`` to ``done``; starts are at least
    ``projection_fold.steps`` cycles apart.

    Parameters
    ----------
    config : Config
    slots : int
        Parameter slots.
    element : Shape
        Of one vector element.
    vectors : int
        Vectors that may be coming or waiting at once, where they come element by element.

    Members
    -------
    write : ``In(ParameterWrite)``
    start : ``In(1)``
    slot, vector : ``In``
        Taken with ``start``.
    elements : ``In(ElementWrite)``
        Instead of ``vector`` in a serial engine; the oldest not yet used is taken.
    done : ``Out(1)``
    code : ``Out(b)``
        Bit r is 1 where the projection on row r reaches its threshold; valid with ``done``.
    active : ``Out(1)``
        A step is worked on.
    """

    def __init__(self, config, slots, element, vectors):
        self.config = config
        self.slots = slots
        self.bits = Arithmetic(config)
        self.fold = config.projection_fold
        self.product = MatrixVector(
            self.fold, element, self.bits.projection_width, self.bits.weights
        )
        if config.is_serial:
            self.queue = ElementQueue(self.fold.inputs, element, vectors)
            vector = {"elements": In(ElementWrite(self.fold.inputs, element))}
        else:
            vector = {"vector": In(self.fold.inputs * Shape.cast(element).width)}
        super().__init__(
            {
                "write": In(ParameterWrite(slots)),
                "start": In(1),
                **vector,
                "slot": In(ceil_log2(slots)),
                "done": Out(1),
                "code": Out(config.code_bits),
                "active": Out(1),
            }
        )

    @property
    def latency(self):
        """Cycles from ``start`` to ``done``: steps, memory, product, comparison, collection."""
        return self.fold.steps + ParameterMemory.LATENCY + self.product.latency + 2

    def elaborate(self, platform):
        m = Module()
        fold, product = self.fold, self.product
        m.submodules.steps = steps = Steps(fold.input_steps, fold.output_steps)
        m.submodules.product = product
        regions = Layout(self.config).regions
        m.submodules.matrix = matrix = ParameterMemory(regions["projection"], self.slots)
        m.submodules.threshold = threshold = ParameterMemory(regions["threshold"], self.slots)
        for memory in (matrix, threshold):
            wiring.connect(m, wiring.flipped(self.write), memory.write)

        slot = Signal(len(self.slot))
        with m.If(self.start):
            m.d.sync += slot.eq(self.slot)
        memory_time = ParameterMemory.LATENCY
        block = self._block(m, steps)
        m.d.comb += [
            steps.start.eq(self.start),
            self.active.eq(steps.active),
            matrix.slot.eq(slot),
            matrix.row.eq(steps.step),
            product.matrix.as_value().eq(matrix.elements.as_value()),
            product.vector.as_value().eq(delay(m, block, memory_time - 1, name="block")),
            product.first.eq(delay(m, steps.first, memory_time, name="first", reset=True)),
            product.last.eq(delay(m, steps.last, memory_time, name="last", reset=True)),
            Cat(threshold.row, threshold.slot).eq(
                delay(m, Cat(steps.output_step, slot), product.latency, name="threshold")
            ),
        ]

        # The sign of the difference, which is one carry chain; a comparison is longer.
        differences = (
            result - level[: self.bits.projection_width].as_signed()
            for result, level in zip(product.results, threshold.elements, strict=True)
        )
        bits = register(m, Cat(~difference[-1] for difference in differences), name="reached")
        code = Signal(fold.output_steps * fold.output_lanes, reset_less=True)
        with m.If(delay(m, product.valid, 1, name="compared", reset=True)):
            m.d.sync += code.eq(Cat(code, bits)[fold.output_lanes :])
        travel = memory_time + product.latency + 2
        m.d.comb += [
            self.done.eq(delay(m, steps.done, travel, name="done", reset=True)),
            self.code.eq(code),
        ]
        return m

    def _block(self, m, steps):
        """The vector's elements of a step, a cycle later."""
        if self.config.is_serial:
            m.submodules.queue = queue = self.queue
            wiring.connect(m, wiring.flipped(self.elements), queue.write)
            m.d.comb += [queue.follow.eq(self.start), queue.index.eq(steps.input_step)]
            return queue.element
        vector = Signal(len(self.vector), reset_less=True)
        with m.If(self.start):
            m.d.sync += vector.eq(self.vector)
        width = self.fold.input_lanes * self.product.element.width
        return register(m, block_of(vector, steps.input_block, width), name="vector_block")
