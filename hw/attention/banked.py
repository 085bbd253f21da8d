# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Linear cores for whole sequences: accumulate one while another is queried.

In each slot at most one token is accumulated (key pass) and at most one is queried (query pass).
Both walk through the rows of the state in step, so the last token of a sequence may take a bank in
the slot of that bank's last query.
"""

from amaranth import *
from amaranth.lib import data, memory

from ecoformer.hw.attention.linear import LinearCore
from ecoformer.hw.attention.sequences import SequenceQueue
from ecoformer.hw.attention.state import StateArray
from ecoformer.hw.lib.pipeline import block_of, delay
from ecoformer.hw.lib.steps import Steps
from ecoformer.hw.stream.payloads import Key
from ecoformer.spec.config import Config

__all__ = ["BankedCore"]


class BankedCore(LinearCore):
    """`LinearCore` of whole sequences, with banks of finished states.

    A token is accumulated in one slot; its query begins at the earliest in the slot after the last
    token of its sequence. Until then its code waits in a ring, and so does its value with
    ``value_term = "own"``.
    """

    running = 1
    """States besides the finished ones: the one that is being accumulated."""

    def __init__(self, config: Config, upstream: int = 1):
        self.banks = config.state_banks - self.running
        super().__init__(config, upstream)

    def _array(self, **shape):
        return StateArray(banks=self.banks, **shape)

    @property
    def full_rate_tokens(self) -> int:
        """The keys of another sequence fill the pause."""
        return max(1, -(-self.pause // self.config.cycles_per_token))

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
        m.submodules.sequences = sequences = self._sequence_queue()
        key = self.keys.payload
        stored = Signal(range(c.ring_tokens + 1))
        pop = Signal()
        store = Signal()
        last = Signal()  # the next token to query is its sequence's last
        failed = Signal()  # and stands for a bad packet
        query_can = Signal()
        m.d.comb += [
            sequences.key.eq(key),
            sequences.take.eq(key_go),
            # A query frees its ring entry, and a last query its bank, in the same slot.
            key_ready.eq(
                open_
                & self._decided(m, self._key_waits(sequences, state), "key")
                & (self._decided(m, sequences.room, "room") | (query_can & last))
                & self._key_fits(m, key, stored, query_can & ~failed)
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
        tag = {
            "user": query.user, "last": query_last, "error": query.error,
            **{name: query[name] for name in c.flow.tag_fields},
        }
        self._results(m, steps, has_query, query, tag, sums, offset_values)
        m.d.comb += [
            self.busy.accumulate_lanes.eq(state.accumulate),
            self.busy.code_sums.eq(code_sums.accumulate),
            self.busy.query_lanes.eq(steps.active & has_query),
            self.busy.similarity_lanes.eq(code_steps.active & has_query),
            self.busy.offset_products.eq(steps.first & has_query),
        ]
        return m

    # -- how S is kept and queried ---------------------------------------------------------------

    def _walk_state(self, m, state, steps, sequences, code, query):
        """Drive ``state`` through the steps of a slot, accumulating ``code``.

        Returns the signs with which its rows are added up for the code ``query``.
        """
        raise NotImplementedError

    def _key_waits(self, sequences, state):
        """A key is offered for which ``state`` has room."""
        return self.keys.valid

    def _query_waits(self, m, sequences, state):
        """The oldest sequence can be queried."""
        return sequences.waiting

    # -- where codes wait that ask -----------------------------------------------------------------

    def _sequence_queue(self):
        """The sequences in flight."""
        return SequenceQueue(self.config, self.banks, "last")

    def _key_fits(self, m, key, stored, frees):
        """The ring has room for what a key brings along, or the next query ``frees`` some."""
        key_fits = key.tag.error | (stored != self.config.ring_tokens)
        return self._decided(m, key_fits, "key_fits") | frees

    def _ring(self, m, store, key, sequences, pop, stored):
        """Codes that ask, between key and query pass; see :meth:`_keep_codes`."""
        return self._keep_codes(
            m, store, key, self.keys.ready & key.tag.error, sequences, pop, stored
        )

    @property
    def late_count(self) -> int:
        """Cycles after which the ring's entries are counted.

        One where the count is not needed until two cycles into a slot.
        """
        return self.lead // 2

    def _lost(self, m, dropped, tail, sequences):
        """Entries that are lost in this cycle: those ``dropped``."""
        return dropped

    def _keep_codes(self, m, store, key, drop, sequences, pop, stored):
        """A ring of codes that ask, and of values where a token's own is needed.

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
        lost = self._lost(m, Mux(drop, sequences.position, 0), tail, sequences)
        more, less, dropped = (
            delay(m, value, self.late_count, name=name, reset=True)
            for name, value in (("more", store), ("less", pop), ("dropped", lost))
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


def _next(pointer, size):
    return Mux(pointer == size - 1, 0, pointer + 1)
