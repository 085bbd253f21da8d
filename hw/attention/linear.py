# amaranth: UnusedElaboratable=no
"""The linear attention core: accumulate one sequence while another is queried.

Time is cut into slots of k cycles. In each slot at most one token is accumulated (key pass) and at
most one is queried (query pass). Both walk through the rows of the state in step, so the last token
of a sequence may take a bank in the slot of that bank's last query. Latencies are fixed: a slot,
once begun, never stalls, and begins only if its result is sure to find room (``grant``).
"""

from amaranth import *
from amaranth.lib import data, memory, wiring

from ecoformer.hw.attention.sequences import SequenceQueue
from ecoformer.hw.attention.state import SignedSum, StateArray
from ecoformer.hw.attention.systolic_array import columns
from ecoformer.hw.lib.element_queue import ElementQueue
from ecoformer.hw.lib.pipeline import block_of, delay, delays, register
from ecoformer.hw.lib.steps import Steps
from ecoformer.hw.stream.payloads import Key, core_signature
from ecoformer.spec.arithmetic import Arithmetic

__all__ = ["AccumulateCore"]


class AccumulateCore(wiring.Component):
    """Linear form: S += h·vᵀ, z += h, V += v; then (hᵀS << g) + C·V over (hᵀz << g) + C·n.

    With ``value_term = "own"`` a token's own value takes the place of V and waits beside its code.

    A token is accumulated in one slot; its query begins at the earliest in the slot after the last
    token of its sequence. ``latency`` is from ``launch`` to the first block.

    Parameters
    ----------
    config : Config
    waiting : int
        Tokens whose values may be there at once, in a serial engine.
    """

    running = 1
    """States that are none of the finished ones: the one that is being accumulated."""

    def __init__(self, config, waiting=1):
        self.config = config
        self.bits = bits = Arithmetic(config)
        self.banks = config.state_banks - self.running
        self.fold = config.state_fold
        self.code_fold = config.code_fold
        self._make_state()
        self.code_sums = StateArray(
            depth=self.code_fold.steps,
            input_lanes=self.code_fold.input_lanes,
            output_lanes=1,
            width=bits.code_sum_width,
            value_width=2,
            banks=self.banks,
            serial=config.is_serial,
        )
        if config.is_serial:
            self.values = ElementQueue(config.value_dim, signed(config.value_width), waiting)
        self.similarity = SignedSum(
            self.code_fold, bits.code_sum_width, bits.similarity_sum_width
        )
        super().__init__(core_signature(config))

    @property
    def numerator_time(self):
        """Cycles from a slot's first step to its first numerators: row, sum, total."""
        return (self.fold.input_steps - 1) + self.sum_time + 1

    @property
    def sum_time(self):
        """Cycles from the last step of a block to its sums."""
        return self.state.latency + self.value_sum.latency

    @property
    def denominator_time(self):
        """Cycles from a slot's first step to its denominator: row, sum, total."""
        return (self.code_fold.steps - 1) + self.code_sums.latency + self.similarity.latency + 1

    @property
    def latency(self):
        """Cycles from ``launch`` to the first block."""
        return 1 + max(self.numerator_time, self.denominator_time)

    @property
    def interval(self):
        """Least cycles between two launches."""
        return self.config.cycles_per_token

    @property
    def pause(self):
        """Cycles between the slot of a sequence's last key and that of its first query."""
        return 0

    @property
    def full_rate_tokens(self):
        """Tokens from which sequences of equal length take k cycles a token.

        The keys of another sequence fill the pause.
        """
        return max(1, -(-self.pause // self.config.cycles_per_token))

    @property
    def lead(self):
        """Cycles that a slot is decided ahead of its beginning, where it is long enough."""
        return min(2, self.config.cycles_per_token.bit_length() - 1)

    def _decided(self, m, value, name):
        """``value`` as it was a cycle ago, where slots are longer than a cycle.

        Only a slot that begins takes away what another could have begun with, and the next begins
        two cycles later at the earliest, so a decision is late at times but never wrong. It keeps
        the long ways from the buffers out of the cycle in which everything starts.
        """
        return delay(m, value, min(self.lead, 1), name=f"{name}_decided", reset=True)

    def elaborate(self, platform):
        m = Module()
        c = self.config
        m.submodules.state = state = self.state
        m.submodules.code_sums = code_sums = self.code_sums
        value_sums = self.value_sums
        if value_sums is not None:
            m.submodules.value_sums = value_sums

        # -- slots -------------------------------------------------------------------------------
        phase = Signal(range(c.cycles_per_token))
        open_ = Signal()
        key_goes = Signal()
        query_goes = Signal()
        key_go = Signal()
        query_go = Signal()
        if self.lead < 2:
            m.d.comb += [open_.eq(phase == 0), key_go.eq(key_goes), query_go.eq(query_goes)]
        else:  # in the cycle before, so that everything starts from a register
            ending = Signal(init=1)  # the phase is 1 or 0; a slot that was decided begins at 0
            go = key_go | query_go
            m.d.comb += open_.eq(ending & ~go)
            m.d.sync += [
                ending.eq(~go & (phase <= 2)), key_go.eq(key_goes), query_go.eq(query_goes)
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
        last = Signal()  # the token queried next is its sequence's last
        failed = Signal()  # and of a bad packet
        query_can = Signal()
        key_fits = key.tag.error | (stored != c.ring_tokens)
        m.d.comb += [
            sequences.key.eq(key),
            sequences.take.eq(key_go),
            # A query gives back its place in the ring, and a last one its bank, in the same slot.
            key_goes.eq(
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
        # At a token every cycle what is no key is replaced before it could be accumulated.
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
            query_goes.eq(open_ & query_can),
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

        # -- the steps of a slot -----------------------------------------------------------------
        m.submodules.steps = steps = Steps(self.fold.input_steps, self.fold.output_steps)
        m.submodules.code_steps = code_steps = Steps(self.code_fold.input_steps, 1)
        go = key_go | query_go
        m.d.comb += [steps.start.eq(go), code_steps.start.eq(go)]
        has_key = Signal()
        has_query = Signal()
        with m.If(go):
            m.d.sync += [has_key.eq(store), has_query.eq(query_go)]

        value_blocks = data.ArrayLayout(signed(c.value_width), self.fold.output_lanes)
        if c.is_serial:
            m.submodules.values = queue = self.values
            wiring.connect(m, wiring.flipped(self.elements), queue.write)
            m.d.comb += [queue.follow.eq(key_go), queue.index.eq(steps.output_step)]
            values = queue.element
        else:  # the block of a step is always the lowest, with no choice between it and the lanes
            values = operand.v.as_value()[: value_blocks.size]
            values = Cat(values, C(0, value_blocks.size - len(values)))
            if self.fold.output_steps > 1:
                with m.If(steps.last & ~key_go):
                    m.d.sync += operand.v.as_value().eq(operand.v.as_value() >> value_blocks.size)
        code_lanes = self.code_fold.input_lanes
        m.d.comb += [
            state.accumulate.eq(steps.active & has_key),
            state.values.as_value().eq(values),
            code_sums.address.eq(code_steps.step),
            code_sums.accumulate.eq(code_steps.active & has_key),
            code_sums.signs.eq(block_of(operand.code, code_steps.input_block, code_lanes)),
            code_sums.values[0].eq(1),
        ]
        if value_sums is not None:
            m.d.comb += [
                # Replaced with a block's last row, when the query has had it all the time.
                value_sums.address.eq(steps.output_step),
                value_sums.accumulate.eq(steps.last & has_key),
                value_sums.signs.eq(1),
                value_sums.values.as_value().eq(values),
            ]
        for array in filter(None, (state, value_sums, code_sums)):
            m.d.comb += [array.first.eq(operand_first), array.read_bank.eq(query.bank)]
            if "write_bank" in array.signature.members:
                m.d.comb += [array.last.eq(operand_last), array.write_bank.eq(operand_bank)]
        signs = self._walk_state(m, state, steps, sequences, operand.code, query_key.code)

        m.submodules.similarity = self.similarity
        self._add_up(
            m, "code_row", code_sums, self.similarity, code_steps, query_key.code, has_query
        )
        sums = self._sums(m, steps, signs, has_query)
        offset_values = self._offset_values(m, query_key, steps)
        self._results(m, steps, has_query, query, query_last, sums, offset_values)
        m.d.comb += [
            self.busy.accumulate_lanes.eq(state.accumulate),
            self.busy.code_sums.eq(code_sums.accumulate),
            self.busy.query_lanes.eq(steps.active & has_query),
            self.busy.similarity_lanes.eq(code_steps.active & has_query),
            self.busy.offset_products.eq(steps.first & has_query),
        ]
        if c.value_term == "sum":
            m.d.comb += self.busy.value_sums.eq(steps.last & has_key)
        return m

    def _add_up(self, m, name, array, total, walk, code, has_query):
        """Let ``total`` add up the rows of ``array`` for the code that asks for them."""
        asked = {
            "signs": block_of(code, walk.input_block, total.fold.input_lanes),
            "last": walk.last & has_query,
        }
        if total.accumulates:
            asked["first"] = walk.first
        if total.is_uneven:
            asked["partial"] = walk.input_block[-1]
        for member, value in asked.items():
            late = delay(m, value, array.latency, name=f"{name}_{member}", reset=member == "last")
            m.d.comb += getattr(total, member).eq(late)
        m.d.comb += total.row.eq(array.row)

    # -- what depends on the form of the state ---------------------------------------------------

    def _make_state(self):
        """``state`` keeps S, ``value_sums`` V where there is one, ``value_sum`` adds up S."""
        c, bits = self.config, self.bits
        self.state = self._state()
        self.value_sums = None
        if c.value_term == "sum":
            self.value_sums = StateArray(
                depth=self.fold.output_steps,
                input_lanes=1,
                output_lanes=self.fold.output_lanes,
                width=bits.plain_sum_width,
                value_width=c.value_width,
                banks=self.banks,
                serial=c.is_serial,
            )
        self.value_sum = SignedSum(self.fold, bits.row_width, bits.value_sum_width)

    def _state(self):
        """What keeps S."""
        return StateArray(
            depth=self.fold.steps,
            input_lanes=self.fold.input_lanes,
            output_lanes=self.fold.output_lanes,
            width=self.bits.state_width,
            value_width=self.config.value_width,
            banks=self.banks,
            serial=self.config.is_serial,
        )

    def _key_waits(self, sequences, state):
        """A key is on offer that ``state`` has room for."""
        return self.keys.valid

    def _query_waits(self, m, sequences, state):
        """The oldest sequence can be queried."""
        return sequences.waiting

    def _walk_state(self, m, state, steps, sequences, code, query):
        """Lead ``state`` through the steps of a slot; ``code`` is accumulated.

        Returns the signs of all rows to be added up for the code ``query``.
        """
        m.d.comb += [
            state.address.eq(steps.step),
            state.signs.eq(block_of(code, steps.input_block, self.fold.input_lanes)),
        ]
        return query

    def _sums(self, m, steps, signs, has_query):
        """Rows of the state added up with ``signs``; ``sum_time`` after a block's last step."""
        m.submodules.value_sum = self.value_sum
        self._add_up(m, "row", self.state, self.value_sum, steps, signs, has_query)
        return self.value_sum.sums

    @property
    def offset_time(self):
        """Cycles from a step to the values by which its offset is multiplied."""
        return (self.state if self.value_sums is None else self.value_sums).latency

    def _offset_values(self, m, query_key, steps):
        """V, or the token's own values, of a step's block; ``offset_time`` after it."""
        if self.value_sums is not None:
            return self.value_sums.row
        c = self.config
        blocks = data.ArrayLayout(signed(c.value_width), self.fold.output_lanes)
        own = block_of(query_key.v, steps.output_block, blocks.size)
        return data.View(blocks, delay(m, own, self.offset_time, name="own_values"))

    def _ring(self, m, store, key, sequences, pop, stored):
        """What waits between key and query pass: codes, and values where a token's own is needed.

        A bad packet's are taken back. What is popped in one cycle stands on the result from the
        next until the next pop.
        """
        depth = self.config.ring_tokens
        fields = {"code": self.config.code_bits}
        if self.config.value_term == "own":
            fields["v"] = key.v.as_value().shape()
        entry = data.StructLayout(fields)
        # Read ahead, no entry counts that is written in the same cycle: no bypass need be mapped.
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
        # It may be counted a cycle late where it is asked for two cycles after a slot began.
        more, less, dropped = (
            delay(m, value, self.lead // 2, name=name, reset=True)
            for name, value in (
                ("more", store), ("less", pop), ("dropped", Mux(drop, sequences.position, 0)),
            )
        )  # fmt: skip
        m.d.sync += stored.eq(stored + more - less - dropped)
        if not self.lead:
            m.d.comb += read.en.eq(pop)
            return read.data
        # The oldest entry has been there for as many cycles as a slot is decided ahead, so that
        # the memory may take its time to answer.
        m.d.comb += read.en.eq(1)
        oldest = delay(m, read.data.as_value(), self.lead - 1, name="oldest")
        popped = Signal(entry, reset_less=True)
        with m.If(pop):
            m.d.sync += popped.as_value().eq(oldest)
        return popped

    def _results(self, m, steps, has_query, query, query_last, sums, offset_values):
        """Offset terms and totals; numerators and denominator wait for each other."""
        bits, g = self.bits, self.config.offset_fraction
        late = self.denominator_time - self.numerator_time

        # Operands have registers, without which a block uses none before its multiplier.
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
        row_offset = delay(m, query.offset, self.offset_time + 1, name="row_offset")
        wait = self.sum_time - self.offset_time - 2
        lags = columns(self.config)
        offsets = delays(m, row_offset, len(lags) - 1, name="column_offset")
        for lane, offset in ((i, offsets[lag]) for lag, lanes in enumerate(lags) for i in lanes):
            value = register(m, offset_values[lane], name=f"offset_operand_{lane}")
            offset_term = register(m, value * offset, name=f"offset_value_{lane}")
            offset_term = delay(m, offset_term, wait, name=f"offset_value_{lane}")
            numerator = register(m, (sums[lane] << g) + offset_term, name=f"numerator_{lane}")
            # With own values the sum can be narrower: a slice alone would not extend its sign.
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
