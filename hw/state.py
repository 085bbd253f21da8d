"""State of a sequence: a folded array that accumulates ±values by code signs, in several banks."""

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from hw.pipeline import register

__all__ = ["StateArray"]


class StateArray(wiring.Component):
    """Accumulates an outer product of signs and values, a row per step; reads rows of any bank.

    Every step addresses one row, for accumulation in one bank and for reading in another. The row
    addressed in cycle t is on ``row`` in cycle t+1 and, accumulated, back in its bank at the end of
    that cycle. Rows are visited at most every ``depth`` cycles, so no access meets an older one in
    flight. A state of one row is kept in flip-flops, a deeper one in memories.

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

    Members
    -------
    address : ``In(range(depth))``
    accumulate : ``In(1)``
        Accumulate into ``write_bank`` in this step.
    first : ``In(1)``
        Start from zero instead of from the row.
    write_bank, read_bank : ``In(range(banks))``
    signs : ``In(input_lanes)``
        1 adds, 0 subtracts.
    values : ``In(ArrayLayout(signed(value_width), output_lanes))``
    row : ``Out(ArrayLayout(signed(width), lanes))``
        Of ``read_bank``; lane = output · input_lanes + input.
    """

    def __init__(self, *, depth, input_lanes, output_lanes, width, value_width, banks):
        self.depth = depth
        self.input_lanes = input_lanes
        self.output_lanes = output_lanes
        self.width = width
        self.banks = banks
        self.row_layout = data.ArrayLayout(signed(width), input_lanes * output_lanes)
        super().__init__(
            {
                "address": In(ceil_log2(depth)),
                "accumulate": In(1),
                "first": In(1),
                "write_bank": In(ceil_log2(banks)),
                "read_bank": In(ceil_log2(banks)),
                "signs": In(input_lanes),
                "values": In(data.ArrayLayout(signed(value_width), output_lanes)),
                "row": Out(self.row_layout),
            }
        )

    def elaborate(self, platform):
        m = Module()
        address = register(m, self.address, name="write_address")
        accumulate = Signal()
        m.d.sync += accumulate.eq(self.accumulate)
        first = register(m, self.first, name="write_first")
        write_bank = register(m, self.write_bank, name="write_bank_1")
        read_bank = register(m, self.read_bank, name="read_bank_1")
        subtract = register(m, ~self.signs, name="subtract")
        values = [register(m, v, name=f"value_{i}") for i, v in enumerate(self.values)]

        updated = Signal(self.row_layout)
        rows = [
            self._bank(m, bank, address, updated, accumulate & (write_bank == bank))
            for bank in range(self.banks)
        ]
        m.d.comb += self.row.as_value().eq(_select(rows, read_bank))

        old = Signal(self.row_layout)
        m.d.comb += old.as_value().eq(_select(rows, write_bank) & ~first.replicate(len(rows[0])))
        for output, value in enumerate(values):
            for i in range(self.input_lanes):
                lane = output * self.input_lanes + i
                # -v = ~v + 1: one adder with carry in per lane.
                flipped = (value.as_unsigned() ^ subtract[i].replicate(len(value))).as_signed()
                m.d.comb += updated[lane].eq(old[lane] + flipped + subtract[i])
        return m

    def _bank(self, m, index, address, updated, enable):
        size = self.row_layout.size
        if self.depth == 1:
            row = Signal(size, name=f"bank_{index}", reset_less=True)
            with m.If(enable):
                m.d.sync += row.eq(updated)
            return row
        rows = memory.Memory(shape=unsigned(size), depth=self.depth, init=[])
        m.submodules[f"bank_{index}"] = rows
        read = rows.read_port()
        write = rows.write_port()
        m.d.comb += [
            read.addr.eq(self.address),
            write.addr.eq(address),
            write.data.eq(updated),
            write.en.eq(enable),
        ]
        return read.data


def _select(rows, bank):
    """The row of ``bank`` as an and-or of all banks, which maps better than a chain of muxes."""
    result = 0
    for index, row in enumerate(rows):
        result |= row & (bank == index).replicate(len(row))
    return result
