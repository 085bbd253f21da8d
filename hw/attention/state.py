# SPDX-License-Identifier: Apache-2.0
"""State of sequences: accumulation of ±values by code signs, banks of finished states, sums."""

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ecoformer.hw.lib.pipeline import delay, register, signed_tree, tree_latency
from ecoformer.spec.folding import Fold

__all__ = ["SignedSum", "StateArray", "add_signed"]


class StateArray(wiring.Component):
    """Accumulates an outer product of signs and values, a row per step; keeps finished states.

    Only one sequence is accumulated at a time, so there is a single accumulator with a feedback
    path; with a sequence's last token its rows also go to a bank, where queries read them. Every
    step addresses one row of both. The row addressed in cycle t is on ``row`` in cycle
    t + ``latency``; at the end of that cycle the updated row is back in the accumulator and in its
    bank, so that a bank can be read and replaced in one pass. Rows are visited at most every
    ``depth`` cycles, so no access meets an older one in flight. Several rows are kept in memories,
    a single one in flip-flops: it has many lanes, and synthesis may duplicate the registers before
    them to keep the fan-out low.

    Parameters
    ----------
    depth : int
        Rows, the steps of the fold.
    input_lanes, output_lanes : int
        Signs and values per row.
    width : int
        Signed bits of one element.
    value_width : int
        Signed bits of one value.
    banks : int
        Finished states.
    serial : bool
        Values come a cycle later than their signs, from a memory; they and the rows wait in a
        register, because a block RAM takes most of a cycle to answer. Needs several rows.
    registers : int
        Between the inputs and the lanes of a single row.

    Members
    -------
    address : ``In(range(depth))``
    accumulate : ``In(1)``
    first : ``In(1)``
        Start from zero instead of from the row.
    last : ``In(1)``
        Also write the updated row to ``write_bank``.
    write_bank, read_bank : ``In(range(banks))``
    signs : ``In(input_lanes)``
        1 adds, 0 subtracts.
    values : ``In(ArrayLayout(signed(value_width), output_lanes))``
    row : ``Out(ArrayLayout(signed(width), lanes))``
        Of ``read_bank``; lane = output · input_lanes + input.
    """

    def __init__(
        self, *, depth: int, input_lanes: int, output_lanes: int, width: int, value_width: int,
        banks: int, serial: bool = False, registers: int = 2,
    ):
        self.depth = depth
        self.input_lanes = input_lanes
        self.output_lanes = output_lanes
        self.width = width
        self.banks = banks
        self.serial = serial
        self.registers = registers
        self.row_layout = data.ArrayLayout(signed(width), input_lanes * output_lanes)
        super().__init__(
            {
                "address": In(ceil_log2(depth)),
                "accumulate": In(1),
                "first": In(1),
                "last": In(1),
                "write_bank": In(ceil_log2(banks)),
                "read_bank": In(ceil_log2(banks)),
                "signs": In(input_lanes),
                "values": In(data.ArrayLayout(signed(value_width), output_lanes)),
                "row": Out(self.row_layout),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from an address to its row."""
        return self.update_latency

    @property
    def update_latency(self) -> int:
        """Cycles from an address to the update of its row."""
        return self.registers if self.depth == 1 else 1 + self.serial

    def elaborate(self, platform) -> Module:
        m = Module()

        def late(value, name, **options):
            return delay(m, value, self.update_latency, name=name, **options)

        finish = late(self.accumulate & self.last, "finish")
        # A single row adds 0 in idle cycles, which saves an enable for every bit.
        counts = Signal()
        m.d.comb += counts.eq(self.accumulate if self.depth == 1 else 1)
        first = late(self.first & counts, "first")
        subtract = late(~self.signs, "subtract")  # -0 is 0
        values = list(self.values)
        if self.serial:
            values = [register(m, value, name=f"value_{i}") for i, value in enumerate(values)]
        else:
            values = [
                late(Mux(counts, value, 0).as_signed(), f"value_{i}")
                for i, value in enumerate(values)
            ]

        updated = [
            Signal(signed(self.width), name=f"updated_{lane}")
            for lane in range(self.row_layout.length)
        ]
        if self.depth == 1:
            running, finished = self._registers(m, Cat(*updated), late, finish)
        else:
            accumulate = late(self.accumulate, "accumulate", reset=True)
            running, finished = self._memories(m, Cat(*updated), accumulate, finish)
        m.d.comb += self.row.as_value().eq(finished)

        old = Signal(self.row_layout)
        m.d.comb += old.as_value().eq(Mux(first, 0, running))
        for output, value in enumerate(values):
            for i in range(self.input_lanes):
                lane = output * self.input_lanes + i
                m.d.comb += updated[lane].eq(add_signed(old[lane], value, subtract[i]))
        return m

    def _registers(self, m, updated, late, finish):
        write_bank = late(self.write_bank, "write_bank")
        read_bank = late(self.read_bank, "read_bank")
        running = register(m, updated, name="running")
        finished = 0
        for index in range(self.banks):
            row = Signal(self.row_layout.size, name=f"bank_{index}", reset_less=True)
            with m.If(finish & (write_bank == index)):
                m.d.sync += row.eq(updated)
            # An and-or of all banks maps better than a chain of muxes.
            finished |= row & (read_bank == index).replicate(len(row))
        return running, finished

    def _memories(self, m, updated, accumulate, finish):
        address = delay(m, self.address, self.update_latency, name="write_address")
        write_bank = delay(m, self.write_bank, self.update_latency, name="write_bank")
        banks_depth = ((self.banks - 1) << len(self.address)) + self.depth
        running = self._rows(m, "running", self.depth, updated, accumulate, address)
        finished = self._rows(
            m, "finished", banks_depth, updated, finish, Cat(address, write_bank),
            Cat(self.address, self.read_bank),
        )
        return running, finished

    def _rows(self, m, name, depth, updated, enable, write_address, read_address=None):
        """Add a memory of rows; returns the one read."""
        m.submodules[name] = rows = memory.Memory(
            shape=unsigned(self.row_layout.size), depth=depth, init=[],
            attrs={"no_rw_check": 1},  # a row is updated while the next one is read
        )
        read = rows.read_port()
        write = rows.write_port()
        m.d.comb += [
            read.addr.eq(self.address if read_address is None else read_address),
            write.addr.eq(write_address),
            write.data.eq(updated),
            write.en.eq(enable),
        ]
        return register(m, read.data, name=f"{name}_row") if self.serial else read.data


def add_signed(total: Value, value: Value, subtract: Value) -> Value:
    """``total`` plus ``value``, or minus it: one adder with a carry in, because -v = ~v + 1."""
    flipped = (value.as_unsigned() ^ subtract.replicate(len(value))).as_signed()
    return total + flipped + subtract


class SignedSum(wiring.Component):
    """Σ ±element over the rows of an output block: hᵀS or hᵀz.

    Latency: ``latency`` cycles from the last row of a block to its sums; they stay until the next.

    Parameters
    ----------
    fold : Fold
    element_width, result_width : int
        Signed bits.

    Members
    -------
    first, last : ``In(1)``
        First and last row of an output block.
    signs : ``In(input_lanes)``
        1 adds, 0 subtracts.
    partial : ``In(1)``
        Last block of inputs: masks the lanes beyond the last input, which hold garbage.
    row : ``In(ArrayLayout(signed(element_width), lanes))``
    sums : ``Out(ArrayLayout(signed(result_width), output_lanes))``
    """

    def __init__(self, fold: Fold, element_width: int, result_width: int):
        self.fold = fold
        self.result_width = result_width
        super().__init__(
            {
                "first": In(1),
                "last": In(1),
                "signs": In(fold.input_lanes),
                "partial": In(1),
                "row": In(data.ArrayLayout(signed(element_width), fold.lanes)),
                "sums": Out(data.ArrayLayout(signed(result_width), fold.output_lanes)),
            }
        )

    @property
    def is_uneven(self) -> bool:
        """Whether there are lanes beyond the last input, so that ``partial`` matters."""
        return self.fold.input_steps * self.fold.input_lanes > self.fold.inputs

    @property
    def accumulates(self) -> bool:
        """Whether a block has several rows, so that ``first`` matters."""
        return self.fold.input_steps > 1

    @property
    def latency(self) -> int:
        """Adder tree, accumulator, held result."""
        return tree_latency(self.fold.input_lanes) + self.accumulates + 1

    def elaborate(self, platform) -> Module:
        m = Module()
        lanes = self.fold.input_lanes
        first = C(1)
        if self.accumulates:
            first = delay(m, self.first, self.latency - 2, name="first")
        last = delay(m, self.last, self.latency - 1, name="last", reset=True)
        there = range((self.fold.input_steps - 1) * lanes, self.fold.input_steps * lanes)
        used = Cat(~self.partial if i >= self.fold.inputs else C(1) for i in there)
        subtract = Signal(lanes)
        m.d.comb += subtract.eq(~self.signs & used)
        for output in range(self.fold.output_lanes):
            terms = []
            for i in range(lanes):
                element = Value.cast(self.row[output * lanes + i]).as_unsigned()
                flipped = element ^ subtract[i].replicate(len(element))
                beyond = there[i] >= self.fold.inputs
                terms.append((Mux(self.partial, 0, flipped) if beyond else flipped).as_signed())
            total, one = signed_tree(m, terms, subtract, name=f"sum_{output}")
            result = total + one
            if self.accumulates:
                running = Signal(
                    signed(self.result_width), name=f"running_{output}", reset_less=True
                )
                m.d.sync += running.eq(Mux(first, 0, running) + result)
                result = running
            held = Signal(signed(self.result_width), name=f"held_{output}", reset_less=True)
            with m.If(last):
                m.d.sync += held.eq(result)
            m.d.comb += self.sums[output].eq(held)
        return m
