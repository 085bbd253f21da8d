# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The linear attention core with tables: code bits are an address instead of signs."""

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ecoformer.hw.attention.banked import BankedCore
from ecoformer.hw.attention.bucket_tables import BucketTables, TableTransform
from ecoformer.hw.attention.value_term import OwnValues, ValueSums
from ecoformer.hw.lib.pipeline import block_of, register
from ecoformer.spec.arithmetic import Arithmetic
from ecoformer.spec.config import Config

__all__ = ["BucketedCore", "BucketedState"]

TABLES = 2
"""One is filled while the other is transformed."""


class BucketedState(wiring.Component):
    """Tables of the sequences in flight: filled, transformed in order, queried.

    The answer to a ``query`` in cycle t is on ``row`` in cycle t + ``latency``. A sequence is
    ``ready`` ``config.transform_cycles`` after its ``last``, or after the sequence before it.

    Parameters
    ----------
    config : Config
    banks : int
        Transformed sequences that are kept; used in turn.

    Members
    -------
    claim : ``In(1)``, room : ``Out(1)``
        Strobe: a sequence begins; only with ``room``.
    step, block, accumulate, first, done, code, values, last : ``In``
        Same as in `BucketTables`.
    query : ``In(groups * group_bits)``, read_bank : ``In(range(banks))``
    row : ``Out(ArrayLayout(signed(table_sum_width), lanes))``
        Sums for the query's groups in this step without their sign, which is a group's highest bit;
        lane = output · input_lanes + group.
    ready : ``Out(1)``
        Strobe: another sequence may be queried from the next cycle on.
    """

    def __init__(self, config: Config, banks: int):
        bits = Arithmetic(config)
        self.fold = fold = config.state_fold
        self.group = config.group_bits
        self.banks = banks
        self.tables = BucketTables(config)
        self.transform = TableTransform(config)
        code = self.tables.signature.members["code"].shape
        self.filled = ("step", "block", "accumulate", "first", "done", "code", "values", "last")
        super().__init__(
            {
                "claim": In(1),
                "room": Out(1),
                **{name: self.tables.signature.members[name] for name in self.filled},
                "query": In(code),
                "read_bank": In(ceil_log2(banks)),
                "row": Out(data.ArrayLayout(signed(bits.table_sum_width), fold.lanes)),
                "ready": Out(1),
            }
        )

    latency = 2
    """Cycles from a query to its row."""

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.tables = tables = self.tables
        m.submodules.transform = transform = self.transform
        held = Signal(range(TABLES + 1))
        waiting = Signal(range(TABLES + 1))
        busy = Signal()
        begin = Signal()
        bank = Signal(range(self.banks))
        m.d.comb += [
            self.room.eq(held != TABLES),
            begin.eq(~busy & (waiting != 0)),
            self.ready.eq(transform.ready),
            transform.begin.eq(begin),
            transform.entries.eq(tables.entries),
            tables.begin.eq(begin),
            tables.end.eq(transform.ready),
            *(getattr(tables, name).eq(getattr(self, name)) for name in self.filled),
            *(
                getattr(tables, name).eq(getattr(transform, name))
                for name in ("reading", "read_step", "read_lane", "entry")
            ),
        ]
        m.d.sync += [
            held.eq(held + self.claim - self.ready),
            waiting.eq(waiting + self.last - self.ready),
            busy.eq((busy | begin) & ~self.ready),
        ]
        with m.If(self.ready):
            m.d.sync += bank.eq(Mux(bank == self.banks - 1, 0, bank + 1))

        lanes, depth = self.fold.input_lanes, self.fold.steps << self.group - 1
        queries = block_of(self.query, self.block, lanes * self.group)
        for lane in range(lanes):
            m.submodules[f"sums_{lane}"] = sums = memory.Memory(
                shape=unsigned(transform.sum_layout.size),
                depth=(self.banks - 1 << ceil_log2(depth)) + depth,
                init=[],
                attrs={"no_rw_check": 1},  # banks being written are not read
            )
            write = sums.write_port()
            read = sums.read_port()
            code = queries.word_select(lane, self.group)
            # Only codes with the highest bit set are stored; others are looked up as complements.
            index = code[:-1] ^ ~code[-1].replicate(self.group - 1)
            m.d.comb += [
                write.addr.eq(Cat(transform.index, transform.write_step, bank)),
                write.data.eq(transform.sums.as_value()),
                write.en.eq(transform.write[lane]),
                read.addr.eq(Cat(index, self.step, self.read_bank)),
            ]
            sums_row = data.View(transform.sum_layout, register(m, read.data, name=f"found_{lane}"))
            m.d.comb += [
                self.row[output * lanes + lane].eq(sums_row[output])
                for output in range(self.fold.output_lanes)
            ]
        return m


class BucketedCore(BankedCore):
    """Linear form as in `BankedCore`, with hᵀS from tables.

    ``config.transform_cycles`` pass between the last key of a sequence and its first query; the
    next sequence is accumulated meanwhile.
    """

    running = 0  # tables being filled or transformed do not occupy a bank
    value_terms = {"sum": ValueSums, "own": OwnValues}

    @classmethod
    def fits(cls, config: Config) -> bool:
        return config.dataflow == "bucketed"

    @property
    def pause(self) -> int:
        """The last step, the transform, and the next slot's decision."""
        c = self.config
        return max(0, self.fold.steps + c.transform_cycles + 1 + self.lead - c.cycles_per_token)

    def _state(self) -> BucketedState:
        return BucketedState(self.config, self.banks)

    def _key_waits(self, sequences, state):
        return self.keys.valid & (~sequences.first | state.room)

    def _query_waits(self, m, sequences, state):
        transformed = Signal(range(self.banks + 1))
        m.d.sync += transformed.eq(transformed + state.ready - sequences.release)
        return sequences.waiting & (transformed != 0)

    def _walk_state(self, m, state, steps, sequences, code, query):
        padding = C(0, len(state.code) - self.config.code_bits)
        complete = Signal()
        with m.If(steps.start):
            m.d.sync += complete.eq(sequences.take & sequences.key.tag.last)
        m.d.comb += [
            state.claim.eq(sequences.take & sequences.first),
            state.step.eq(steps.step),
            state.done.eq(steps.done),
            state.code.eq(Cat(code, padding)),
            state.last.eq(steps.done & complete),
            state.query.eq(Cat(query, padding)),
        ]
        if len(state.block):
            m.d.comb += state.block.eq(steps.input_block)
        return state.query[state.group - 1 :: state.group]
