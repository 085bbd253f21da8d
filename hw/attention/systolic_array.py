# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""State and query of an engine that takes a token every cycle: a systolic array.

At full rate every lane works in every cycle, and control signals would have to reach all of them
at once. So lanes are grouped in cells of a few rows and columns that are connected to their
neighbours only: signs travel along a row of cells, values and partial sums along a column, one cell
per cycle.

              values 0    values 1
                 ▼           ▼
    signs 0 ►  cell   ►   cell
                 ▼           ▼
    signs 1 ►  cell   ►   cell
                 ▼           ▼
               sums 0      sums 1, a cycle later

A cell works a cycle later than those above and to the left of it, so the result is the same as if
all worked at once, except that every column is a cycle later than the one before. The divider
removes this skew.
"""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ecoformer.hw.attention.state import StateArray
from ecoformer.hw.lib.grid import split_range
from ecoformer.hw.lib.pipeline import delay, delays, register, signed_tree, tree_latency

__all__ = ["SystolicArray"]

ROWS, COLUMNS = 4, 8
"""Of a cell, which takes some hundred tiles: a path across it is a fraction of a cycle."""


class SystolicArray(wiring.Component):
    """Accumulates outer products of signs and values, keeps finished states and queries them.

    Latency: ``latency`` cycles from a query to its sums in column 0, ``plain_time`` to the sum of
    the values; column g is g cycles later.

    Parameters
    ----------
    inputs, outputs : int
        Signs and values.
    width, value_width, result_width : int
        Signed bits of an element of the state, of a value, of a sum.
    plain_width : int or None
        Signed bits of the sum of the values, where one is kept.
    banks : int
        Finished states.

    Members
    -------
    accumulate, first, last, write_bank, read_bank, signs, values : ``In``
        Same as in `hw.attention.state.StateArray`.
    query : ``In(inputs)``
        1 adds the row of ``read_bank``, 0 subtracts it.
    sums : ``Out(ArrayLayout(signed(result_width), outputs))``
    plain : ``Out(ArrayLayout(signed(plain_width), outputs))``
        Σ values of ``read_bank``, where it is kept.
    """

    def __init__(
        self, *, inputs: int, outputs: int, width: int, value_width: int, result_width: int,
        banks: int, plain_width: int | None = None,
    ):
        self.width = width
        self.value_width = value_width
        self.result_width = result_width
        self.plain_width = plain_width
        self.banks = banks
        self.rows = split_range(inputs, ROWS)
        self.columns = split_range(outputs, COLUMNS)
        plain = {}
        if plain_width is not None:
            plain["plain"] = Out(data.ArrayLayout(signed(plain_width), outputs))
        super().__init__(
            {
                "accumulate": In(1),
                **_inputs(inputs, outputs, value_width, banks),
                "sums": Out(data.ArrayLayout(signed(result_width), outputs)),
                **plain,
            }
        )

    @property
    def plain_time(self) -> int:
        """Cycles from a query to Σ values in column 0."""
        return self._plain_row + Cell.ROW_LATENCY

    @property
    def _plain_row(self):
        """Row of cells beside which Σ values is kept: the last but one, as it is multiplied."""
        return max(0, len(self.rows) - 2)

    @property
    def latency(self) -> int:
        """Down to the last cell of a column."""
        return len(self.rows) - 1 + self._cell_latency

    @property
    def _cell_latency(self):
        return Cell.ROW_LATENCY + tree_latency(len(self.rows[0])) + 1

    def elaborate(self, platform) -> Module:
        m = Module()
        below, right = len(self.rows) - 1, len(self.columns) - 1
        counts = self.accumulate
        steering = delays(
            m,
            Cat(self.first & counts, self.last & counts, self.write_bank, self.read_bank),
            below + right, name="steering", reset=True,
        )
        signs, queries = (
            [
                delays(m, port[rows.start : rows.stop], below + right, name=f"{name}_{h}")
                for h, rows in enumerate(self.rows)
            ]
            for name, port in (("signs", self.signs), ("query", self.query))
        )
        for g, column in enumerate(self.columns):
            # In idle cycles values are 0, and neither first nor last is set.
            arriving = Cat(Mux(counts, self.values[i], 0).as_signed() for i in column)
            values = delays(m, arriving, g + below, name=f"values_{g}")
            above = C(0)
            for h, rows in enumerate(self.rows):
                m.submodules[f"cell_{h}_{g}"] = cell = Cell(
                    len(rows), len(column), width=self.width, value_width=self.value_width,
                    result_width=self.result_width, banks=self.banks, latency=self._cell_latency,
                )
                m.d.comb += [
                    _steering(cell).eq(steering[h + g]),
                    cell.signs.eq(signs[h][h + g]),
                    cell.query.eq(queries[h][h + g]),
                    cell.values.as_value().eq(values[h + g]),
                    Value.cast(cell.above).eq(above),
                ]
                above = Value.cast(cell.sums)
            m.d.comb += [self.sums[i].eq(cell.sums[index]) for index, i in enumerate(column)]
            if self.plain_width is not None:
                m.submodules[f"plain_{g}"] = plain = _state(
                    1, len(column), self.plain_width, self.value_width, self.banks
                )
                m.d.comb += [
                    _steering(plain).eq(steering[self._plain_row + g]),
                    plain.accumulate.eq(1),
                    plain.signs.eq(1),
                    plain.values.as_value().eq(values[self._plain_row + g]),
                    *(self.plain[i].eq(plain.row[index]) for index, i in enumerate(column)),
                ]
        return m


class Cell(wiring.Component):
    """Some rows and columns of the state, and the sum over its rows.

    Parameters
    ----------
    inputs, outputs : int
        Rows and columns.
    width, value_width, result_width, banks
        Same as in `SystolicArray`.
    latency : int
        Cycles from a query to its sums; ``above`` is added in the last of them.

    Members
    -------
    first, last, write_bank, read_bank, signs, values, query : ``In``
        Same as in `SystolicArray`, with a token in every cycle.
    above : ``In(ArrayLayout(signed(result_width), outputs))``
    sums : ``Out(ArrayLayout(signed(result_width), outputs))``
    """

    ROW_LATENCY = 1
    """Cycles from the inputs, which are registered, to the row."""

    def __init__(
        self, inputs: int, outputs: int, *, width: int, value_width: int, result_width: int,
        banks: int, latency: int,
    ):
        self.result_width = result_width
        self.latency = latency
        self.state = _state(inputs, outputs, width, value_width, banks)
        sums = data.ArrayLayout(signed(result_width), outputs)
        super().__init__(
            {
                **_inputs(inputs, outputs, value_width, banks),
                "above": In(sums),
                "sums": Out(sums),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.state = state = self.state
        m.d.comb += [
            _steering(state).eq(_steering(self)),
            state.accumulate.eq(1),
            state.signs.eq(self.signs),
            state.values.eq(self.values),
        ]
        lanes = len(self.query)
        subtract = ~delay(m, self.query, self.ROW_LATENCY, name="query")
        # A cell with fewer rows is delayed to the latency of the others.
        wait = self.latency - self.ROW_LATENCY - tree_latency(lanes) - 1
        for output, above in enumerate(self.above):
            elements = (state.row[output * lanes + i].as_unsigned() for i in range(lanes))
            terms = [
                (element ^ subtract[i].replicate(len(element))).as_signed()
                for i, element in enumerate(elements)
            ]
            total, one = signed_tree(m, terms, subtract, name=f"sum_{output}")
            total = delay(m, total, wait, name=f"total_{output}")
            one = delay(m, one, wait, name=f"one_{output}")
            result = (total + above + one)[: self.result_width].as_signed()
            m.d.comb += self.sums[output].eq(register(m, result, name=f"result_{output}"))
        return m


def _inputs(inputs, outputs, value_width, banks):
    """Inputs of a cell and of the whole array."""
    return {
        "first": In(1),
        "last": In(1),
        "write_bank": In(ceil_log2(banks)),
        "read_bank": In(ceil_log2(banks)),
        "signs": In(inputs),
        "values": In(data.ArrayLayout(signed(value_width), outputs)),
        "query": In(inputs),
    }


def _state(inputs, outputs, width, value_width, banks):
    return StateArray(
        depth=1, input_lanes=inputs, output_lanes=outputs, width=width, value_width=value_width,
        banks=banks, registers=Cell.ROW_LATENCY,
    )


def _steering(part):
    return Cat(part.first, part.last, part.write_bank, part.read_bank)
