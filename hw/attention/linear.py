# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""What the linear attention cores share: accumulate one sequence while another is queried.

Time is cut into slots of k cycles. In each slot at most one token is accumulated (key pass) and at
most one is queried (query pass). Both walk through the rows of the state in step, so the last token
of a sequence may take a bank in the slot of that bank's last query. Latencies are fixed: a slot
never stalls once it has begun, and begins only if there is room for its result (``grant``).
"""

from functools import cached_property

from amaranth import *
from amaranth.lib import data, memory

from ecoformer.hw.attention.core import AttentionCore
from ecoformer.hw.attention.sequences import SequenceQueue
from ecoformer.hw.attention.state import SignedSum, StateArray
from ecoformer.hw.attention.value_term import ValueTerm
from ecoformer.hw.lib.pipeline import block_of, delay, delays, register
from ecoformer.hw.lib.steps import Steps
from ecoformer.hw.stream.payloads import Key
from ecoformer.spec.arithmetic import Arithmetic
from ecoformer.spec.config import Config

__all__ = ["LinearCore"]


class LinearCore(AttentionCore):
    """Linear form: S += h·vᵀ, z += h, V += v; then (hᵀS << g) + C·V over (hᵀz << g) + C·n.

    With ``value_term = "own"`` a token's own value replaces V and waits beside its code.
    A token is accumulated in one slot; its query begins at the earliest in the slot after the last
    token of its sequence. Subclasses differ in how S is kept and multiplied by a query.
    """

    running = 1
    """States besides the finished ones: the one that is being accumulated."""
    value_terms: dict[str, type[ValueTerm]]
    """Class of every ``value_term``."""

    def __init__(self, config: Config, upstream: int = 1):
        super().__init__(config, upstream)
        self.bits = bits = Arithmetic(config)
        self.banks = config.state_banks - self.running
        self.fold = config.state_fold
        self.code_fold = config.code_fold
        self.asking = config.sides.query.code
        self.state = self._state()
        self.value_term = self.value_terms[config.value_term](self)
        self.code_sums = self._array(
            depth=self.code_fold.steps,
            input_lanes=self.code_fold.input_lanes,
            output_lanes=1,
            width=bits.code_sum_width,
            value_width=2,
        )
        self.similarity = SignedSum(
            self.code_fold, bits.code_sum_width, bits.similarity_sum_width
        )

    @cached_property
    def value_sum(self) -> SignedSum:
        """Adds up the rows of S for a query."""
        return SignedSum(self.fold, self.bits.row_width, self.bits.value_sum_width)

    def _array(self, **shape):
        """Sums that are accumulated and banked like the state."""
        return StateArray(banks=self.banks, **shape)

    @property
    def numerator_time(self) -> int:
        """Cycles from a slot's first step to its first numerators: row, sum, total."""
        return (self.fold.input_steps - 1) + self.sum_time + 1

    @property
    def sum_time(self) -> int:
        """Cycles from the last step of a block to its sums."""
        return self.state.latency + self.value_sum.latency

    @property
    def denominator_time(self) -> int:
        """Cycles from a slot's first step to its denominator: row, sum, total."""
        return (self.code_fold.steps - 1) + self.code_sums.latency + self.similarity.latency + 1

    @property
    def latency(self) -> int:
        return 1 + max(self.numerator_time, self.denominator_time)

    @property
    def initiation_interval(self) -> int:
        return self.config.cycles_per_token

    @property
    def full_rate_tokens(self) -> int:
        """The keys of another sequence fill the pause."""
        return max(1, -(-self.pause // self.config.cycles_per_token))

    @property
    def lead(self) -> int:
        """Two cycles where a slot is long enough to be decided ahead."""
        return min(2, self.config.cycles_per_token.bit_length() - 1)

    def _decided(self, m, value, name):
        """``value`` of the cycle before, where slots are longer than a cycle.

        Conditions are only used up when a slot begins, and the next one begins at least two cycles
        later: a decision may be late but is never wrong. This keeps the long paths from the buffers
        out of the cycle in which a slot starts.
        """
        return delay(m, value, min(self.lead, 1), name=f"{name}_decided", reset=True)

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.state = state = self.state
        m.submodules.code_sums = code_sums = self.code_sums
        value_term = self.value_term
        value_term.add(m)

        # -- slots -------------------------------------------------------------------------------
        phase = Signal(range(c.cycles_per_token))
        open_ = Signal()
        key_ready = Signal()
        query_ready = Signal()
        key_go = Signal()
        query_go = Signal()
        if self.lead < 2:
            m.d.comb += [open_.eq(phase == 0), key_go.eq(key_ready), query_go.eq(query_ready)]
        else:  # decided a cycle ahead, so that everything starts from a register
            ending = Signal(init=1)  # the phase is 1 or 0; a decided slot begins at 0
            go = key_go | query_go
            m.d.comb += open_.eq(ending & ~go)
            m.d.sync += [
                ending.eq(~go & (phase <= 2)), key_go.eq(key_ready), query_go.eq(query_ready)
            ]
        with m.If(key_go | query_go):
            m.d.sync += phase.eq(c.cycles_per_token - 1)
        with m.Elif(phase != 0):
            m.d.sync += phase.eq(phase - 1)

        # -- key pass ----------------------------------------------------------------------------
        m.submodules.sequences = sequences = SequenceQueue(c, self.banks, "last")
        key = self.keys.payload
        stored = Signal(range(c.ring_tokens + 1))
        pop = Signal()
        store = Signal()
        last = Signal()  # the next token to query is its sequence's last
        failed = Signal()  # and stands for a bad packet
        query_can = Signal()
        key_fits = key.tag.error | (stored != c.ring_tokens)
        m.d.comb += [
            sequences.key.eq(key),
            sequences.take.eq(key_go),
            # A query frees its ring entry, and a last query its bank, in the same slot.
            key_ready.eq(
                open_
                & self._decided(m, self._key_waits(sequences, state), "key")
                & (self._decided(m, sequences.room, "room") | (query_can & last))
                & (self._decided(m, key_fits, "key_fits") | (query_can & ~failed))
            ),
            self.keys.ready.eq(key_go),
            store.eq(key_go & ~key.tag.error),
        ]
        operand = Signal(Key(c), reset_less=True)
        operand_first = Signal()
        operand_last = Signal()
        operand_bank = Signal(sequences.bank.shape())
        # At full rate idle cycles load garbage, which is overwritten before use.
        with m.If(key_go | c.is_full_rate):
            m.d.sync += [
                operand.eq(key),
                operand_first.eq(sequences.first),
                operand_last.eq(key.tag.last),
                operand_bank.eq(sequences.bank),
            ]

        # -- query pass --------------------------------------------------------------------------
        current = sequences.current
        queried = Signal(self.bits.count_width)
        query = Signal(sequences.layout)
        query_last = Signal()
        query_waits = self._query_waits(m, sequences, state) & self.grant
        m.d.comb += [
            last.eq(self._decided(m, queried == current.final, "last")),
            failed.eq(self._decided(m, current.error, "failed")),
            query_can.eq(self._decided(m, query_waits, "query")),
            query_ready.eq(open_ & query_can),
            pop.eq(query_go & ~current.error),
            sequences.release.eq(query_go & last),
            self.launch.eq(query_go),
        ]
        with m.If(query_go):
            m.d.sync += [
                queried.eq(Mux(last, 0, queried + 1)),
                query.eq(current),
                query_last.eq(last),
            ]

        query_key = self._ring(m, store, key, sequences, pop, stored)
        query_code = query_key[self.asking]

        # -- the steps of a slot -----------------------------------------------------------------
        m.submodules.steps = steps = Steps(self.fold.input_steps, self.fold.output_steps)
        m.submodules.code_steps = code_steps = Steps(self.code_fold.input_steps, 1)
        go = key_go | query_go
        m.d.comb += [steps.start.eq(go), code_steps.start.eq(go)]
        has_key = Signal()
        has_query = Signal()
        with m.If(go):
            m.d.sync += [has_key.eq(store), has_query.eq(query_go)]

        values = self._values(m, operand, steps, key_go)
        code_lanes = self.code_fold.input_lanes
        m.d.comb += [
            state.accumulate.eq(steps.active & has_key),
            state.values.as_value().eq(values),
            code_sums.address.eq(code_steps.step),
            code_sums.accumulate.eq(code_steps.active & has_key),
            code_sums.signs.eq(block_of(operand.code, code_steps.input_block, code_lanes)),
            code_sums.values[0].eq(1),
        ]
        value_term.accumulate(m, steps, values, has_key)
        for array in (state, *value_term.arrays, code_sums):
            m.d.comb += [array.first.eq(operand_first), array.read_bank.eq(query.bank)]
            if "write_bank" in array.signature.members:
                m.d.comb += [array.last.eq(operand_last), array.write_bank.eq(operand_bank)]
        signs = self._walk_state(m, state, steps, sequences, operand.code, query_code)

        m.submodules.similarity = self.similarity
        self._add_up(
            m, "code_row", code_sums, self.similarity, code_steps, query_code, has_query
        )
        sums = self._sums(m, steps, signs, has_query)
        offset_values = value_term.values(m, query_key, steps)
        self._results(m, steps, has_query, query, query_last, sums, offset_values)
        m.d.comb += [
            self.busy.accumulate_lanes.eq(state.accumulate),
            self.busy.code_sums.eq(code_sums.accumulate),
            self.busy.query_lanes.eq(steps.active & has_query),
            self.busy.similarity_lanes.eq(code_steps.active & has_query),
            self.busy.offset_products.eq(steps.first & has_query),
        ]
        return m

    def _add_up(self, m, name, array, total, walk, code, has_query):
        """Let ``total`` add up the rows of ``array`` with the signs of ``code``."""
        inputs = {
            "signs": block_of(code, walk.input_block, total.fold.input_lanes),
            "last": walk.last & has_query,
        }
        if total.accumulates:
            inputs["first"] = walk.first
        if total.is_uneven:
            inputs["partial"] = walk.input_block[-1]
        for member, value in inputs.items():
            late = delay(m, value, array.latency, name=f"{name}_{member}", reset=member == "last")
            m.d.comb += getattr(total, member).eq(late)
        m.d.comb += total.row.eq(array.row)

    # -- how S is kept and queried ---------------------------------------------------------------

    def _state(self):
        """The component that keeps S."""
        raise NotImplementedError

    def _walk_state(self, m, state, steps, sequences, code, query):
        """Drive ``state`` through the steps of a slot, accumulating ``code``.

        Returns the signs with which its rows are added up for the code ``query``.
        """
        raise NotImplementedError

    def _values(self, m, operand, steps, key_go):
        """Values of a step's block: the lowest, so that the lanes need no multiplexer."""
        lanes, width = self.fold.output_lanes, self.config.value_width
        values = operand.v.as_value()[: lanes * width]
        if self.fold.output_steps > 1:
            with m.If(steps.last & ~key_go):
                m.d.sync += operand.v.as_value().eq(operand.v.as_value() >> lanes * width)
        return Cat(values, C(0, lanes * width - len(values)))

    def _key_waits(self, sequences, state):
        """A key is offered for which ``state`` has room."""
        return self.keys.valid

    def _query_waits(self, m, sequences, state):
        """The oldest sequence can be queried."""
        return sequences.waiting

    def _sums(self, m, steps, signs, has_query):
        """Rows of the state added up with ``signs``; ``sum_time`` after a block's last step."""
        m.submodules.value_sum = self.value_sum
        self._add_up(m, "row", self.state, self.value_sum, steps, signs, has_query)
        return self.value_sum.sums

    def _ring(self, m, store, key, sequences, pop, stored):
        """Codes that ask, and values where a token's own is needed, between key and query pass.

        A bad packet's entries are taken back. An entry popped in one cycle is valid on the result
        from the next cycle until the next pop.
        """
        depth = self.config.ring_tokens
        fields = (self.asking, *self.value_term.ring_fields)
        entry = data.StructLayout({name: Value.cast(key[name]).shape() for name in fields})
        # Read ahead: an entry being written is never needed yet, so no bypass is required.
        attrs = {"no_rw_check": 1} if self.lead else {}
        m.submodules.ring = ring = memory.Memory(shape=entry, depth=depth, init=[], attrs=attrs)
        write = ring.write_port()
        read = ring.read_port()
        head = Signal(range(depth))
        start = Signal(range(depth))
        tail = Signal(range(depth))
        packet_start = Signal.like(head)
        drop = self.keys.ready & key.tag.error
        m.d.comb += [
            packet_start.eq(Mux(sequences.first, head, start)),
            write.addr.eq(head),
            *(write.data[name].eq(key[name]) for name in fields),
            write.en.eq(store),
            read.addr.eq(tail),
        ]
        with m.If(store):
            m.d.sync += [head.eq(_next(head, depth)), start.eq(packet_start)]
        with m.Elif(drop):
            m.d.sync += head.eq(packet_start)
        with m.If(pop):
            m.d.sync += tail.eq(_next(tail, depth))
        # Counted a cycle late where the count is not needed until two cycles into a slot.
        more, less, dropped = (
            delay(m, value, self.lead // 2, name=name, reset=True)
            for name, value in (
                ("more", store), ("less", pop), ("dropped", Mux(drop, sequences.position, 0)),
            )
        )
        m.d.sync += stored.eq(stored + more - less - dropped)
        if not self.lead:
            m.d.comb += read.en.eq(pop)
            return read.data
        # The oldest entry is at least ``lead`` cycles old, which leaves the memory time to answer.
        m.d.comb += read.en.eq(1)
        oldest = delay(m, read.data.as_value(), self.lead - 1, name="oldest")
        popped = Signal(entry, reset_less=True)
        with m.If(pop):
            m.d.sync += popped.as_value().eq(oldest)
        return popped

    def _results(self, m, steps, has_query, query, query_last, sums, offset_values):
        """Offset terms and totals; numerators and denominator leave together."""
        bits, g = self.bits, self.config.offset_fraction
        late = self.denominator_time - self.numerator_time

        # Registered operands: the multiplier block then uses its input registers.
        count, offset = (
            register(m, query[name], name=f"{name}_operand") for name in ("count", "offset")
        )
        offset_term = register(m, count * offset, name="offset_count")
        offset_term = delay(m, offset_term, self.denominator_time - 3, name="offset_count")
        denominator = register(
            m, (self.similarity.sums[0] << g) + offset_term, name="denominator"
        )
        denominator = delay(m, denominator, max(0, -late), name="denominator")

        block = self.blocks.payload
        m.d.comb += block.denominator.eq(denominator)
        row_offset = delay(m, query.offset, self.value_term.latency + 1, name="row_offset")
        wait = self.sum_time - self.value_term.latency - 2
        offsets = delays(m, row_offset, max(self.lags), name="column_offset")
        for lane, offset in enumerate(offsets[lag] for lag in self.lags):
            value = register(m, offset_values[lane], name=f"offset_operand_{lane}")
            offset_term = register(m, value * offset, name=f"offset_value_{lane}")
            offset_term = delay(m, offset_term, wait, name=f"offset_value_{lane}")
            numerator = register(m, (sums[lane] << g) + offset_term, name=f"numerator_{lane}")
            # With own values the sum may be narrower; a plain slice would not sign-extend it.
            numerator = numerator[: bits.numerator_width].as_signed()
            m.d.comb += block.numerators[lane].eq(
                delay(m, numerator, max(0, late), name=f"numerator_{lane}")
            )

        travel = self.latency - self.fold.input_steps  # from a block's last step to the block
        tag = Signal(block.tag.shape())
        m.d.comb += [
            tag.user.eq(query.user),
            tag.last.eq(query_last),
            tag.error.eq(query.error),
            Cat(block.final, block.tag.as_value()).eq(
                delay(m, Cat(steps.done, tag.as_value()), travel, name="tag")
            ),
            self.blocks.valid.eq(
                delay(m, steps.last & has_query, travel, name="block_valid", reset=True)
            ),
        ]


def _next(pointer, size):
    return Mux(pointer == size - 1, 0, pointer + 1)
