# SPDX-License-Identifier: Apache-2.0
"""Tables of the bucketed dataflow: sums by code, and their transform to the sums that queries add.

The bits of a code are cut into groups of ``group_bits``. A group has a table for every value
element, with one entry per code c of the group: T[c], the sum of the values with that code.
"""

from functools import reduce
from operator import or_

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ecoformer.hw.lib.pipeline import block_of, delay, register, signed_tree, tree_latency
from ecoformer.spec.arithmetic import Arithmetic
from ecoformer.spec.config import Config

__all__ = ["BucketTables", "TableTransform"]


class BucketTables(wiring.Component):
    """Adds values to the entries of their codes; one table is filled while the other is read.

    A step addresses one row of tables, those of ``input_lanes`` groups and ``output_lanes`` value
    elements, and adds to one entry of each, ``config.table_latency`` later. Rows are visited at
    most every ``depth`` cycles, so no addition meets an older one in flight. Entries are not
    cleared: the first value of a sequence replaces what an entry held, and an entry that got none
    reads as zero.

    Parameters
    ----------
    config : Config

    Members
    -------
    step : ``In(range(depth))``, block : ``In(input_steps)``
        Same as in `Steps`; ``block`` has no bits where there is only one.
    accumulate : ``In(1)``, first : ``In(1)``, done : ``In(1)``
        A token is in this step; it is the first of its sequence; this is its last step.
    code : ``In(groups * group_bits)``
    values : ``In(ArrayLayout(signed(value_width), output_lanes))``
    last : ``In(1)``
        A sequence, perhaps a bad one, is complete with this step; the next fills the other table.
    begin : ``In(1)``, end : ``In(1)``
        The oldest complete table will be read from the next cycle on, and is free again.
    reading : ``In(1)``, read_step, read_lane : ``In(input_lanes)``, entry : ``In(group_bits)``
        Reads an entry of the lane selected one-hot. Entries are read in order, lane by lane and
        block by block.
    entries : ``Out(ArrayLayout(signed(plain_sum_width), output_lanes))``
        The entry, ``config.table_latency`` + 1 cycles later.
    """

    def __init__(self, config: Config):
        bits = Arithmetic(config)
        self.fold = fold = config.state_fold
        self.group = config.group_bits
        self.latency = config.table_latency
        self.row_layout = data.ArrayLayout(signed(bits.plain_sum_width), fold.output_lanes)
        super().__init__(
            {
                "step": In(ceil_log2(fold.steps)),
                "block": In(fold.input_steps if fold.input_steps > 1 else 0),
                "accumulate": In(1),
                "first": In(1),
                "done": In(1),
                "code": In(fold.inputs * self.group),
                "values": In(data.ArrayLayout(signed(config.value_width), fold.output_lanes)),
                "last": In(1),
                "begin": In(1),
                "end": In(1),
                "reading": In(1),
                "read_step": In(ceil_log2(fold.steps)),
                "read_lane": In(fold.input_lanes),
                "entry": In(self.group),
                "entries": Out(self.row_layout),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        filled = Signal()
        read = Signal()
        m.d.sync += [filled.eq(filled ^ self.last), read.eq(read ^ self.end)]
        fresh, missing = self._seen(m)

        lanes, group = self.fold.input_lanes, self.group
        codes = block_of(self.code, self.block, lanes * group)
        accumulate = self._later(m, self.accumulate, "accumulate", reset=True)
        written = self._later(m, filled, "written")
        values = [self._later(m, v, f"value_{i}") for i, v in enumerate(self.values)]
        lane_read = self._later(m, self.read_lane, "lane_read")
        was_read = self._later(m, read, "was_read")
        rows_read = []
        for lane in range(lanes):
            address = Cat(codes.word_select(lane, group), self.step)
            target = self._later(m, address, f"address_{lane}")
            updated = Signal(self.row_layout, name=f"updated_{lane}")
            rows = []
            for table in range(2):
                enable = accumulate & (written == table)
                reading = self.reading & (read == table)
                read_address = Mux(reading, Cat(self.entry, self.read_step), address)
                row = self._table(m, f"table_{lane}_{table}", read_address, target, updated, enable)
                rows_read.append(row & (lane_read[lane] & (was_read == table)).replicate(len(row)))
                rows.append(row)
            old = Signal(self.row_layout, name=f"old_{lane}")
            m.d.comb += old.as_value().eq(Mux(fresh[lane], 0, Mux(written, rows[1], rows[0])))
            m.d.comb += [updated[i].eq(old[i] + value) for i, value in enumerate(values)]
        m.d.sync += self.entries.as_value().eq(Mux(missing, 0, reduce(or_, rows_read)))
        return m

    def _later(self, m, value, name, *, reset=False):
        """``value`` when the tables have answered."""
        return delay(m, value, self.latency, name=name, reset=reset)

    def _table(self, m, name, read_address, address, updated, enable):
        """One table: the row at ``read_address`` after ``latency``, when ``updated`` is written."""
        depth = self.fold.steps << self.group
        single = self.fold.steps == 1  # the next token follows at once and may have the same code
        m.submodules[name] = table = memory.Memory(
            shape=unsigned(self.row_layout.size), depth=depth, init=[],
            # Otherwise the next step reads another row or another table.
            attrs={} if single else {"no_rw_check": 1},
        )
        write = table.write_port()
        m.d.comb += [
            write.addr.eq(address), write.data.eq(updated.as_value()), write.en.eq(enable)
        ]
        if single:
            read = table.read_port(domain="comb")
            m.d.comb += read.addr.eq(register(m, read_address, name=f"{name}_address"))
        else:
            read = table.read_port()
            m.d.comb += read.addr.eq(read_address)
        return delay(m, read.data, self.latency - 1, name=f"{name}_row")

    def _seen(self, m):
        """Whether an entry has no value yet: of the rows being accumulated, and of those read."""
        fold, size = self.fold, 1 << self.group
        seen = Signal(fold.input_steps * fold.input_lanes * size)
        kept = Signal.like(seen)
        with m.If(self.done & self.accumulate):
            for i in range(fold.inputs):
                word = seen.word_select(i, size)
                mark = C(1, size) << self.code.word_select(i, self.group)
                m.d.sync += word.eq(Mux(self.first, 0, word) | mark)
        with m.If(self.begin):
            m.d.sync += kept.eq(seen)
        with m.Elif(self.reading):
            m.d.sync += kept.eq(kept.rotate_right(1))
        missing = self._later(m, ~kept[0], "missing")
        words = block_of(seen, self.block, fold.input_lanes * size)
        codes = block_of(self.code, self.block, fold.input_lanes * self.group)
        fresh = [
            self._later(
                m,
                self.first
                | ~words.word_select(i, size).bit_select(codes.word_select(i, self.group), 1),
                f"fresh_{i}",
            )
            for i in range(fold.input_lanes)
        ]
        return fresh, missing


class TableTransform(wiring.Component):
    """Reads a table entry by entry and writes what a query gets from every group.

    Rows of the group are S_r = Σ_c h_r(c)·T[c], and a query with code c' gets
    Q[c'] = Σ_r h_r(c')·S_r. As Q[~c'] = -Q[c'], only codes with the highest bit set are made.
    ``ready`` comes ``config.transform_cycles`` - 1 cycles after ``begin``.

    Parameters
    ----------
    config : Config

    Members
    -------
    begin : ``In(1)``
        Only after ``ready``.
    reading : ``Out(1)``, read_step, read_lane, entry : ``Out``
        The entry of `BucketTables` to read.
    entries : ``In(ArrayLayout(signed(plain_sum_width), output_lanes))``
        ``config.table_latency`` + 1 cycles later.
    write : ``Out(input_lanes)``, write_step : ``Out``, index : ``Out(group_bits - 1)``
        Lane, step and lower code bits of ``sums``.
    sums : ``Out(ArrayLayout(signed(table_sum_width), output_lanes))``
    ready : ``Out(1)``
        Strobe: the last sums are written in this cycle.
    """

    def __init__(self, config: Config):
        bits = Arithmetic(config)
        self.config = config
        self.fold = fold = config.state_fold
        self.group = config.group_bits
        self.entry_layout = data.ArrayLayout(signed(bits.plain_sum_width), fold.output_lanes)
        self.row_width = bits.state_width
        self.sum_layout = data.ArrayLayout(signed(bits.table_sum_width), fold.output_lanes)
        step = ceil_log2(fold.steps)
        super().__init__(
            {
                "begin": In(1),
                "reading": Out(1),
                "read_step": Out(step),
                "read_lane": Out(fold.input_lanes),
                "entry": Out(self.group),
                "entries": In(self.entry_layout),
                "write": Out(fold.input_lanes),
                "write_step": Out(step),
                "index": Out(self.group - 1),
                "sums": Out(self.sum_layout),
                "ready": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        fold, group = self.fold, self.group

        # -- entries, lane by lane, step by step -----------------------------------------------
        lanes = fold.input_lanes
        group_select = Signal(fold.input_steps * lanes, init=1)  # one-hot, a bit for every group
        last_entry = self.reading & self.entry.all()
        last_lane = self.read_lane[-1]
        last = last_entry & last_lane & (self.read_step == fold.steps - 1)
        with m.If(self.begin):
            m.d.sync += [self.reading.eq(1), self.read_step.eq(0)]
        with m.Elif(self.reading):
            m.d.sync += self.entry.eq(self.entry + 1)
            with m.If(last_entry):
                m.d.sync += [self.reading.eq(~last), group_select.eq(group_select.rotate_left(1))]
                with m.If(last_lane):
                    m.d.sync += self.read_step.eq(self.read_step + 1)
        m.d.comb += [self.read_lane[i].eq(group_select[i::lanes].any()) for i in range(lanes)]

        # -- rows of a group ---------------------------------------------------------------------
        entry_time = self.config.table_latency + 1
        subtract = delay(m, ~self.entry, entry_time, name="subtract")
        first = delay(m, self.entry == 0, entry_time, name="first")
        complete = delay(m, last_entry, entry_time + 1, name="complete", reset=True)
        finishes = delay(m, last, entry_time + 1, name="finishes")
        lane = delay(m, self.read_lane, entry_time + 1, name="lane")
        step = delay(m, self.read_step, entry_time + 1, name="step")
        # The last group may have fewer rows, if code_bits is not a multiple.
        left_out = fold.inputs * group - self.config.code_bits
        partial = C(0)
        if left_out:
            partial = delay(m, group_select[fold.inputs - 1], entry_time + 1, name="partial")
        rows: list[list[Signal]] = [[] for _ in range(fold.output_lanes)]
        for element in range(fold.output_lanes):
            value = self.entries[element].as_unsigned()
            for r in range(group):
                name = f"{element}_{r}"
                row = Signal(signed(self.row_width), name=f"row_{name}", reset_less=True)
                held = Signal.like(row, name=f"held_{name}")
                flipped = (value ^ subtract[r].replicate(len(value))).as_signed()
                m.d.sync += row.eq(Mux(first, 0, row) + flipped + subtract[r])
                with m.If(complete):
                    m.d.sync += held.eq(Mux(partial, 0, row) if r >= group - left_out else row)
                rows[element].append(held)

        # -- sums of a query ---------------------------------------------------------------------
        making = Signal()
        finishing = Signal()
        index = Signal(group - 1)
        made_lane = Signal.like(self.read_lane, reset_less=True)
        made_step = Signal.like(self.read_step, reset_less=True)
        end = index == (1 << group - 1) - 1
        with m.If(complete):
            m.d.sync += [
                making.eq(1), finishing.eq(finishes), index.eq(0), made_lane.eq(lane),
                made_step.eq(step),
            ]
        with m.Elif(making):
            m.d.sync += [making.eq(~end), index.eq(index + 1)]
        flips = [~bit for bit in index] + [C(0, 1)]
        for element, terms in enumerate(rows):
            flipped = [
                (row.as_unsigned() ^ flip.replicate(len(row))).as_signed()
                for row, flip in zip(terms, flips, strict=True)
            ]
            # The highest bit is set, so no 1 is left.
            total, _ = signed_tree(m, flipped, flips, name=f"sum_{element}")
            m.d.comb += self.sums[element].eq(total)
        late = tree_latency(group)
        writing = delay(m, making, late, name="writing", reset=True)
        m.d.comb += [
            self.write.eq(
                delay(m, made_lane, late, name="lane_made") & writing.replicate(lanes)
            ),
            self.write_step.eq(delay(m, made_step, late, name="step_made")),
            self.index.eq(delay(m, index, late, name="index")),
            self.ready.eq(delay(m, making & end & finishing, late, name="ready", reset=True)),
        ]
        return m
