# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Softmax attention of the tokens themselves: the baseline for the linear core.

It is built with the same care from the same parts: int8 products, the exponential table of the
kernelized hash, the normaliser. It handles one pair of tokens per cycle with D + E + 1 multipliers,
all busy in every cycle. Two passes over the keys work on consecutive queries at the same time:

    scores      s_j = x_i·x_j, and their maximum
    weighting   w_j = 511·exp(-((max - s_j)·scale >> shift)/256);  Σ_j w_j·v_j over Σ_j w_j
"""

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ecoformer.hw.attention.quadratic import QuadraticCore
from ecoformer.hw.attention.sequences import Sequence, SequenceQueue
from ecoformer.hw.lib.pipeline import adder_tree, delay, register, tree_latency
from ecoformer.hw.lib.table import Table
from ecoformer.hw.stream.payloads import key_shape
from ecoformer.spec.arithmetic import Arithmetic
from ecoformer.spec.config import Config
from ecoformer.spec.tables import KERNEL_INDEX_BITS, KERNEL_WIDTH, exponential_table

__all__ = ["Scan", "SoftmaxCore"]

MEMORIES = {"code": "tokens", "query": "queries", "v": "values"}
"""Name of the memory of every field of a key."""


class Scan(wiring.Component):
    """Walks once around the tokens of a sequence, beginning with any of them.

    ``start`` in cycle t makes the first address appear in cycle t + 1; a new start is accepted in
    the cycle of the last address.

    Parameters
    ----------
    config : Config

    Members
    -------
    start : ``In(1)``
    bank, count, begin : ``In``
        Bank and length of the sequence, and the token to begin with.
    active : ``Out(1)``
    address : ``Out``
        Of the token, in the memory of all banks.
    position : ``Out``
        Tokens visited before this one.
    first, last : ``Out(1)``
        First and last address, while active.
    idle : ``Out(1)``
        A start is accepted.
    """

    def __init__(self, config: Config):
        self.config = config
        banks, tokens = config.state_banks, config.max_tokens
        super().__init__(
            {
                "start": In(1),
                "bank": In(ceil_log2(banks)),
                "count": In(Arithmetic(config).count_width),
                "begin": In(ceil_log2(tokens)),
                "active": Out(1),
                "address": Out(ceil_log2(banks * tokens)),
                "position": Out(ceil_log2(tokens)),
                "first": Out(1),
                "last": Out(1),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        base = bank_base(self.config, self.bank)
        lowest = Signal.like(self.address, reset_less=True)
        highest = Signal.like(self.address, reset_less=True)
        left = Signal.like(self.count, reset_less=True)
        m.d.comb += [
            self.first.eq(self.active & (self.position == 0)),
            self.last.eq(self.active & (left == 0)),
            self.idle.eq(~self.active | self.last),
        ]
        with m.If(self.start):
            m.d.sync += [
                self.active.eq(1),
                self.position.eq(0),
                left.eq(self.count - 1),
                lowest.eq(base),
                highest.eq(base + self.count - 1),
                self.address.eq(base + self.begin),
            ]
        with m.Elif(self.active):
            m.d.sync += [
                self.active.eq(~self.last),
                self.position.eq(self.position + 1),
                left.eq(left - 1),
                self.address.eq(Mux(self.address == highest, lowest, self.address + 1)),
            ]
        return m


def bank_base(config: Config, bank: Value) -> Value:
    """Address of a bank's first token; banks are contiguous."""
    base = C(0)
    for number in range(1, config.state_banks):
        base = Mux(bank == number, number * config.max_tokens, base)
    return base


class SoftmaxCore(QuadraticCore):
    """Σ_j w_ij·v_j over Σ_j w_ij with w_ij = e^(s_ij - max) by table; N cycles per query.

    A query begins with its own token, so that one address serves queries and keys. Scores wait in
    one half of a memory until their maximum is known. The next sequence begins when the last query
    of this one has been weighted. The first block of a query of N tokens leaves
    2·(N - 1) cycles later than that of a single token.
    """

    WEIGHTING = 9
    """Cycles from the address of a score to its products: memory, register, difference, scaled,
    shifted, limited, table and product."""

    def __init__(self, config: Config, upstream: int = 1):
        super().__init__(config, upstream)
        self.bits = Arithmetic(config)

    @classmethod
    def fits(cls, config: Config) -> bool:
        return config.dataflow == "softmax"

    @property
    def score_time(self) -> int:
        """Cycles from the address of a key to its score: memory, register, product, sum."""
        return 3 + tree_latency(self.config.head_dim)

    @property
    def latency(self) -> int:
        """Launch, score, its half is full, weighting, sum, block."""
        return 1 + self.score_time + 2 + self.WEIGHTING + 2

    def elaborate(self, platform) -> Module:
        m = Module()
        c, bits = self.config, self.bits
        m.submodules.sequences = sequences = SequenceQueue(c, c.state_banks, "first")
        m.submodules.scoring = scoring = Scan(c)
        m.submodules.weighting = weighting = Scan(c)
        tokens, values = self._store(m, sequences)

        # -- which query is scored, and which is weighted, in the two halves in turn ---------------
        layout = data.StructLayout(
            {"sequence": Sequence(c, c.state_banks), "query": len(scoring.begin), "last": 1}
        )
        halves = [Signal(layout, name=f"half_{i}", reset_less=True) for i in range(2)]
        taken = Signal(2)  # a query is being scored there, or waits to be weighted
        full = Signal(2)  # and all of its scores are known
        scored_half = Signal()
        weighted_half = Signal()
        current = sequences.current
        query = Signal.like(scoring.begin)
        all_begun = Signal()  # every query of the current sequence has begun
        last_query = query == current.final[: len(query)]
        m.d.comb += [
            self.launch.eq(
                sequences.waiting & self.grant & ~all_begun & scoring.idle
                & ~taken.bit_select(scored_half, 1)
            ),
            scoring.start.eq(self.launch),
            scoring.bank.eq(current.bank),
            scoring.count.eq(current.count),
            scoring.begin.eq(query),
        ]
        with m.If(self.launch):
            m.d.sync += [
                query.eq(Mux(last_query, 0, query + 1)),
                all_begun.eq(last_query),
                scored_half.eq(~scored_half),
            ]
        for i, half in enumerate(halves):
            with m.If(self.launch & (scored_half == i)):
                m.d.sync += [
                    half.sequence.eq(current), half.query.eq(query), half.last.eq(last_query)
                ]

        waiting = Mux(weighted_half, halves[1], halves[0])
        weighed = Signal(layout, reset_less=True)  # the query being weighted
        gap = c.state_fold.steps + 1
        pause = Signal(range(gap + 1))  # until the blocks of the last query have left
        waiting = data.View(layout, waiting)
        go = Signal()
        m.d.comb += [
            go.eq(
                full.bit_select(weighted_half, 1) & weighting.idle
                & ((~weighting.active & (pause == 0)) | (waiting.sequence.count > gap))
            ),
            weighting.start.eq(go),
            weighting.bank.eq(waiting.sequence.bank),
            weighting.count.eq(waiting.sequence.count),
            weighting.begin.eq(waiting.query),
            sequences.release.eq(weighting.last & weighed.last),
        ]
        with m.If(go):
            m.d.sync += [weighed.eq(waiting), weighted_half.eq(~weighted_half)]
        with m.If(weighting.last):
            m.d.sync += pause.eq(gap)
        with m.Elif(pause != 0):
            m.d.sync += pause.eq(pause - 1)
        with m.If(sequences.release):
            m.d.sync += all_begun.eq(0)

        # -- the passes ----------------------------------------------------------------------------
        score, maxima, position, stored, complete = self._scores(m, tokens, scoring, scored_half)
        for i in range(2):
            with m.If(self.launch & (scored_half == i)):
                m.d.sync += taken[i].eq(1)
            with m.Elif(go & (weighted_half == i)):
                m.d.sync += taken[i].eq(0)
            with m.If(complete[i]):
                m.d.sync += full[i].eq(1)
            with m.Elif(go & (weighted_half == i)):
                m.d.sync += full[i].eq(0)
        half_bits = len(position)
        m.submodules.scores = scores = memory.Memory(
            shape=signed(bits.score_width), depth=2 << (half_bits - 1), init=[]
        )
        write = scores.write_port()
        read = scores.read_port()
        read_half = Signal()
        limit = Signal(signed(bits.score_width), reset_less=True)
        with m.If(go):
            m.d.sync += [
                read_half.eq(weighted_half), limit.eq(Mux(weighted_half, maxima[1], maxima[0]))
            ]
        m.d.comb += [
            write.addr.eq(position),
            write.data.eq(score),
            write.en.eq(stored),
            read.addr.eq(Cat(weighting.position, read_half)),
        ]
        self._weigh(m, weighting, weighed, limit, read.data, values)
        return m

    def _store(self, m, sequences):
        """Add memories of tokens and values, written as keys arrive.

        Returns the read ports of the tokens, with separate queries that of the queries first, and
        that of the values.
        """
        c, key = self.config, self.keys.payload
        depth = c.state_banks * c.max_tokens
        take = Signal()
        m.d.comb += [
            sequences.key.eq(key),
            sequences.take.eq(take),
            take.eq(self.keys.valid & sequences.room),
            self.keys.ready.eq(take),
        ]
        ports = []
        fields = {side.code: key[side.code] for side in c.sides.all} | {"v": key.v.as_value()}
        for name, element in fields.items():
            m.submodules[MEMORIES[name]] = store = memory.Memory(
                shape=unsigned(len(element)), depth=depth, init=[]
            )
            write = store.write_port()
            m.d.comb += [
                write.addr.eq(bank_base(c, sequences.bank) + sequences.position),
                write.data.eq(element),
                write.en.eq(take & ~key.tag.error),
            ]
            read = store.read_port()
            ports.append(read)
        *tokens, values = ports
        return tokens, values

    def _scores(self, m, tokens, scan, half):
        """Scores of a scan: score, maxima of both halves, address, write strobe, completion.

        ``half`` is that of the next scan.
        """
        c, bits = self.config, self.bits
        shape = key_shape(c)
        m.d.comb += [port.addr.eq(scan.address) for port in tokens]
        key = data.View(shape, register(m, tokens[-1].data, name="key"))
        query = data.View(shape, Signal(shape.size, name="query", reset_less=True))
        with m.If(delay(m, scan.first, 1, name="query_read")):
            m.d.sync += query.as_value().eq(tokens[0].data)
        products = [
            register(m, key[d] * query[d], name=f"score_product_{d}") for d in range(c.head_dim)
        ]
        score = adder_tree(m, products, name="score")[: bits.score_width].as_signed()

        time = self.score_time
        first = delay(m, scan.first, time, name="score_first")
        stored = delay(m, scan.active, time, name="score_valid", reset=True)
        last = delay(m, scan.last, time, name="score_last", reset=True)
        position = delay(m, Cat(scan.position, ~half), time, name="score_place")
        highest = Signal(signed(bits.score_width), reset_less=True)
        higher = Signal.like(highest)
        maxima = [Signal.like(highest, name=f"maximum_{i}") for i in range(2)]
        complete = [last & (position[-1] == i) for i in range(2)]
        m.d.comb += higher.eq(Mux(first | (score > highest), score, highest))
        with m.If(stored):
            m.d.sync += highest.eq(higher)
        m.d.comb += self.busy.score_products.eq(scan.active)
        for maximum, done in zip(maxima, complete):
            with m.If(done):
                m.d.sync += maximum.eq(higher)
        return score, maxima, position, stored, complete

    def _weigh(self, m, scan, weighed, limit, stored, values):
        """Weights by table; sums of weights and of weighted values, in blocks."""
        bits = self.bits
        sequence = weighed.sequence
        score = register(m, stored, name="stored_score")
        difference = register(
            m, (delay(m, limit, 2, name="limit") - score)[: bits.score_width], name="difference"
        )
        scaled = register(m, difference * delay(m, sequence.scale, 3, name="scale"), name="scaled")
        argument = register(
            m, scaled >> delay(m, sequence.shift, 4, name="shift"), name="argument"
        )
        largest = (1 << KERNEL_INDEX_BITS) - 1
        index = register(
            m, Mux(argument > largest, largest, argument)[:KERNEL_INDEX_BITS], name="index"
        )
        m.submodules.table = table = Table(exponential_table(), KERNEL_WIDTH)
        m.d.comb += [table.index.eq(index), values.addr.eq(scan.address)]
        weight = Cat(table.value, C(0, 1)).as_signed()

        time = self.WEIGHTING
        value = delay(m, values.data, time - 2, name="value")
        first = delay(m, scan.first, time, name="first")
        valid = delay(m, scan.active, time, name="valid", reset=True)
        last = delay(m, scan.last, time + 1, name="last", reset=True)
        sums, denominator = self._weighted_sums(m, weight, weight, value, first, valid)
        m.d.comb += self.busy.scale_product.eq(scan.active)
        tag = {
            name: delay(m, source, time + 1, name=f"tag_{name}")
            for name, source in (
                ("user", sequence.user),
                ("last", weighed.last),
                ("error", sequence.error),
            )
        }
        self._send_blocks(m, last, sums, denominator, tag)
