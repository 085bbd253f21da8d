# SPDX-License-Identifier: Apache-2.0
"""Sums of many contexts in one memory, each row of which is read as it is updated."""

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from ecoformer.hw.attention.state import add_signed
from ecoformer.hw.lib.pipeline import delay

__all__ = ["ContextArray"]


class ContextArray(wiring.Component):
    """Accumulates outer products of signs and values, a row per step.

    The row addressed in cycle t is read, updated, and on ``row`` in cycle t + ``latency``, at whose
    end it is back in the memory. So the same row may be accumulated every ``latency`` + 1 cycles,
    and rows of different addresses every cycle. The memory's answer is registered before it is
    added to: it comes late in its cycle.

    Parameters
    ----------
    contexts : int
    depth : int
        Rows of a context; those of context c begin at address c · depth.
    input_lanes, output_lanes : int
        Signs and values per row.
    width : int
        Signed bits of one element.
    value_width : int
        Signed bits of one value.

    Members
    -------
    address : ``In(range(contexts * depth))``
    accumulate : ``In(1)``
        Keep the updated row.
    first : ``In(1)``
        Start from zero instead of from the row.
    signs : ``In(input_lanes)``
        1 adds, 0 subtracts.
    values : ``In(ArrayLayout(signed(value_width), output_lanes))``
    row : ``Out(ArrayLayout(signed(width), lanes))``
        Updated; lane = output · input_lanes + input.
    """

    latency = 3

    def __init__(
        self, *, contexts: int, depth: int, input_lanes: int, output_lanes: int, width: int,
        value_width: int,
    ):
        self.contexts = contexts
        self.depth = depth
        self.input_lanes = input_lanes
        self.row_layout = data.ArrayLayout(signed(width), input_lanes * output_lanes)
        super().__init__(
            {
                "address": In(range(max(2, contexts * depth))),  # a memory of one row has none
                "accumulate": In(1),
                "first": In(1),
                "signs": In(input_lanes),
                "values": In(data.ArrayLayout(signed(value_width), output_lanes)),
                "row": Out(self.row_layout),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        # A row that is being written is read in steps that keep nothing of it only.
        m.submodules.rows = rows = memory.Memory(
            shape=unsigned(self.row_layout.size), depth=max(2, self.contexts * self.depth),
            init=[], attrs={"no_rw_check": 1},
        )
        read, write = rows.read_port(), rows.write_port()
        old = Signal(self.row_layout, reset_less=True)
        row = Signal(self.row_layout, reset_less=True)
        m.d.comb += [
            read.addr.eq(self.address),
            self.row.eq(row),
            write.addr.eq(delay(m, self.address, self.latency, name="write_address")),
            write.data.eq(row),
            write.en.eq(delay(m, self.accumulate, self.latency, name="accumulate", reset=True)),
        ]
        m.d.sync += old.as_value().eq(
            Mux(delay(m, self.first, 1, name="first"), 0, read.data)
        )
        subtract = delay(m, ~self.signs, 2, name="subtract")
        for output, value in enumerate(self.values):
            value = delay(m, value, 2, name=f"value_{output}")
            for i in range(self.input_lanes):
                lane = output * self.input_lanes + i
                m.d.sync += row[lane].eq(add_signed(old[lane], value, subtract[i]))
        return m
