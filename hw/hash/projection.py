# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The projection that ends a hash: matrix times vector, compared with thresholds."""

from amaranth import *
from amaranth.hdl import ShapeLike
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ecoformer.hw.lib.element_queue import ElementQueue, ElementWrite
from ecoformer.hw.lib.grid import split_range
from ecoformer.hw.lib.matrix_vector import MatrixVector
from ecoformer.hw.lib.pipeline import block_of, delay, delays, register
from ecoformer.hw.lib.steps import Steps
from ecoformer.hw.parameters.memory import ParameterMemory, Slots
from ecoformer.hw.parameters.write_port import ParameterWrite
from ecoformer.spec.arithmetic import Arithmetic
from ecoformer.spec.config import Config
from ecoformer.spec.memory_map import MemoryMap

__all__ = ["Projection", "SerialProjection"]

ROWS = 4
"""Rows of a group: those that a vector reaches in the same cycle at full rate."""
HOP = 3
"""Cycles from one group of rows to the next at full rate, which may lie far apart."""


class Projection(wiring.Component):
    """Code of one vector, folded over at most k cycles.

    Latency: ``latency`` cycles from ``start`` to ``done``; starts are at least
    ``projection_fold.steps`` cycles apart.

    Parameters
    ----------
    config : Config
    slots : Slots
    element : Shape
        Of one vector element.
    vectors : int
        Vectors that may be coming or waiting at once, where they come serially.

    Members
    -------
    write : ``In(ParameterWrite)``
    start : ``In(1)``
    slot, vector : ``In``
        Sampled with ``start``.
    done : ``Out(1)``
    code : ``Out(b)``
        Bit r is 1 where the projection on row r reaches its threshold; valid with ``done``.
    active : ``Out(1)``
        A step is in work.
    """

    def __init__(self, config: Config, slots: Slots, element: ShapeLike, vectors: int = 1):
        self.config = config
        self.slots = slots
        self.bits = Arithmetic(config)
        self.fold = config.projection_fold
        self.parts = self._groups()
        self.products = [self._product(len(part), element) for part in self.parts]
        super().__init__(
            {
                "write": In(ParameterWrite(slots.count)),
                "start": In(1),
                **self._input(element, vectors),
                "slot": In(slots.bits),
                "done": Out(1),
                "code": Out(config.code_bits),
                "active": Out(1),
            }
        )

    def _groups(self):
        """Rows of every group: at full rate the vector travels from one to the next."""
        rows = self.fold.output_lanes
        return split_range(rows, ROWS if self.config.is_full_rate else rows)

    def _product(self, rows, element):
        """The product of a group of rows."""
        return MatrixVector(
            self.fold.input_lanes, rows, element, self.bits.projection_width, self.bits.weights
        )

    def _weights(self, rows):
        """Elements of the memory's rows that a group of rows takes."""
        lanes = self.fold.input_lanes
        return range(rows.start * lanes, rows.stop * lanes)

    @property
    def latency(self) -> int:
        """Cycles from ``start`` to ``done``: steps, memory, product, comparison, collection."""
        before_travel = self.fold.steps + ParameterMemory.LATENCY + self.products[0].latency + 2
        return before_travel + self._travel

    @property
    def _travel(self):
        """Cycles from the first group of rows to the last, for which the others wait."""
        return HOP * (len(self.parts) - 1)

    def elaborate(self, platform) -> Module:
        m = Module()
        fold = self.fold
        m.submodules.steps = steps = Steps(fold.input_steps, fold.output_steps)
        slot = Signal(len(self.slot))
        with m.If(self.start):
            m.d.sync += slot.eq(self.slot)
        memory_time, travel = ParameterMemory.LATENCY, self._travel
        m.d.comb += [steps.start.eq(self.start), self.active.eq(steps.active)]

        block = delay(m, self._block(m, steps), memory_time - 1, name="block")
        passing = [
            delays(m, value, travel, name=name)[::HOP]
            for name, value in {"vector": block, **self._place(steps), "slot": slot}.items()
        ]
        firsts = delays(m, steps.first, travel, name="first", reset=True)[::HOP]
        reached = []
        for index, arriving in enumerate(zip(firsts, *passing, strict=True)):
            bits = self._part(m, index, *arriving)
            reached.append(delay(m, bits, travel - HOP * index, name=f"reached_{index}"))

        waited = self.latency - fold.steps
        code = Signal(fold.output_steps * fold.output_lanes, reset_less=True)
        with m.If(delay(m, steps.last, waited - 1, name="compared", reset=True)):
            m.d.sync += code.eq(Cat(code, *reached)[fold.output_lanes :])
        m.d.comb += [
            self.done.eq(delay(m, steps.done, waited, name="done", reset=True)),
            self.code.eq(code),
        ]
        return m

    def _place(self, steps):
        """Where a step is, by name."""
        return {"step": steps.step, "output_step": steps.output_step}

    def _part(self, m, index, first, vector, step, output_step, slot):
        """Bits of one group of rows."""
        rows, product = self.parts[index], self.products[index]
        regions = MemoryMap(self.config).regions
        matrix, threshold = (
            ParameterMemory(regions[name], self.slots, elements)
            for name, elements in (("projection", self._weights(rows)), ("threshold", rows))
        )
        alone = len(self.parts) == 1
        for name, part in (
            ("product", product), ("matrix" if alone else "projection", matrix),
            ("threshold", threshold),
        ):
            m.submodules[name if alone else f"{name}_{index}"] = part
        for memory in (matrix, threshold):
            wiring.connect(m, wiring.flipped(self.write), memory.write)
        late_first = delay(m, first, ParameterMemory.LATENCY, name=f"first_{index}", reset=True)
        m.d.comb += [
            matrix.slot.eq(slot),
            matrix.row.eq(step),
            product.matrix.as_value().eq(matrix.elements.as_value()),
            product.vector.as_value().eq(vector),
            product.first.eq(late_first),
            Cat(threshold.row, threshold.slot).eq(
                delay(m, Cat(output_step, slot), product.latency, name=f"threshold_{index}")
            ),
        ]
        # The sign of the difference is one carry chain; a comparison is longer.
        differences = (
            result - level[: self.bits.projection_width].as_signed()
            for result, level in zip(product.results, threshold.elements, strict=True)
        )
        return register(m, Cat(~difference[-1] for difference in differences), name=f"bits_{index}")

    def _input(self, element, vectors):
        """The port by which vectors come."""
        return {"vector": In(self.fold.inputs * Shape.cast(element).width)}

    def _block(self, m, steps):
        """The vector's elements of a step, a cycle later."""
        vector = Signal(len(self.vector), reset_less=True)
        with m.If(self.start | self.config.is_full_rate):
            m.d.sync += vector.eq(self.vector)
        width = self.fold.input_lanes * self.products[0].element.width
        return register(m, block_of(vector, steps.input_block, width), name="vector_block")


class SerialProjection(Projection):
    """`Projection` of vectors that come element by element and wait in block RAM.

    Members
    -------
    elements : ``In(ElementWrite)``
        Instead of ``vector``; ``start`` takes the oldest that was not taken yet.
    """

    def _input(self, element, vectors):
        self.queue = ElementQueue(self.fold.inputs, element, vectors)
        return {"elements": In(ElementWrite(self.fold.inputs, element))}

    def _block(self, m, steps):
        m.submodules.queue = queue = self.queue
        wiring.connect(m, wiring.flipped(self.elements), queue.write)
        m.d.comb += [queue.follow.eq(self.start), queue.index.eq(steps.input_step)]
        return queue.element
