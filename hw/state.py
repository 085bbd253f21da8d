"""State of a sequence: accumulation of ±values by code signs in several banks, and signed sums."""

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from hw.pipeline import adder_tree, delay, register, tree_latency

__all__ = ["SignedSum", "StateArray"]


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
    input_step : ``In(range(input_steps))``
        Masks the lanes beyond the last input, where the state holds rubbish.
    row : ``In(ArrayLayout(signed(element_width), lanes))``
    sums : ``Out(ArrayLayout(signed(result_width), output_lanes))``
    """

    def __init__(self, fold, element_width, result_width):
        self.fold = fold
        self.result_width = result_width
        super().__init__(
            {
                "first": In(1),
                "last": In(1),
                "signs": In(fold.input_lanes),
                "input_step": In(ceil_log2(fold.input_steps)),
                "row": In(data.ArrayLayout(signed(element_width), fold.lanes)),
                "sums": Out(data.ArrayLayout(signed(result_width), fold.output_lanes)),
            }
        )

    @property
    def latency(self):
        """Sign, adder tree, accumulator, held result."""
        return 1 + tree_latency(self.fold.input_lanes + 1) + 2

    def elaborate(self, platform):
        m = Module()
        lanes = self.fold.input_lanes
        first = delay(m, self.first, self.latency - 2, name="first")
        last = delay(m, self.last, self.latency - 1, name="last", reset=True)
        used = [
            Const(1)
            if (self.fold.input_steps - 1) * lanes + i < self.fold.inputs
            else self.input_step != self.fold.input_steps - 1
            for i in range(lanes)
        ]
        # -s = ~s + 1; the ones to add are the same for every output, so they are counted once.
        ones = register(
            m, sum(used[i] & ~self.signs[i] for i in range(lanes)), name="ones"
        )
        for output in range(self.fold.output_lanes):
            terms = []
            for i in range(lanes):
                element = Value.cast(self.row[output * lanes + i]).as_unsigned()
                flipped = element ^ (~self.signs[i]).replicate(len(element))
                term = (flipped & used[i].replicate(len(element))).as_signed()
                terms.append(register(m, term, name=f"term_{output}_{i}"))
            total = adder_tree(m, [*terms, ones], name=f"sum_{output}")
            running = Signal(signed(self.result_width), name=f"running_{output}", reset_less=True)
            held = Signal(signed(self.result_width), name=f"held_{output}", reset_less=True)
            m.d.sync += running.eq(Mux(first, 0, running) + total)
            with m.If(last):
                m.d.sync += held.eq(running)
            m.d.comb += self.sums[output].eq(held)
        return m


def _select(rows, bank):
    """The row of ``bank`` as an and-or of all banks, which maps better than a chain of muxes."""
    result = 0
    for index, row in enumerate(rows):
        result |= row & (bank == index).replicate(len(row))
    return result
