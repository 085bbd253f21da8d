# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The quadratic attention core: XNOR-popcount similarities of every pair of codes.

Far slower than the linear form and independent of it: equal results of both cross-check the whole
datapath.
"""

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ecoformer.hw.attention.pair_queue import PairQueue
from ecoformer.hw.attention.quadratic import QuadraticCore
from ecoformer.hw.attention.sequences import SequenceQueue
from ecoformer.hw.lib.pipeline import adder_tree, delay, register, tree_latency
from ecoformer.spec.config import Config

__all__ = ["CrossXnorCore", "PairCore", "XnorCore", "XnorPopcount"]

MEMORIES = {"code": "codes", "query": "queries", "v": "values"}
"""Name of the memory of every field of a key."""


class XnorPopcount(wiring.Component):
    """Similarity h_a·h_b = 2·popcount(xnor) - b of two codes.

    Latency: ``latency`` cycles, one pair per cycle.

    Parameters
    ----------
    code_bits : int

    Members
    -------
    a, b : ``In(code_bits)``
    similarity : ``Out(signed)``
        -b…+b.
    """

    def __init__(self, code_bits: int):
        self.code_bits = code_bits
        super().__init__(
            {
                "a": In(code_bits),
                "b": In(code_bits),
                "similarity": Out(signed(code_bits.bit_length() + 1)),
            }
        )

    @property
    def latency(self) -> int:
        """Registered comparison and adder tree."""
        return 1 + tree_latency(self.code_bits, fanin=4)

    def elaborate(self, platform) -> Module:
        m = Module()
        equal = register(m, ~(self.a ^ self.b), name="equal")
        ones = adder_tree(m, list(equal), name="ones", fanin=4)
        m.d.comb += self.similarity.eq((ones << 1) - self.code_bits)
        return m


class PairCore(QuadraticCore):
    """Weights of pairs of codes: w_ij = ((h_i·h_j) << g) + C.

    With ``value_term = "own"``, C counts in the numerator where i = j only.
    """

    def __init__(self, config: Config, upstream: int = 1):
        super().__init__(config, upstream)
        self.popcount = XnorPopcount(config.code_bits)

    @property
    def latency(self) -> int:
        """The key; then code, similarity, weight, product, sum, block of the last."""
        return 1 + self.to_weight + 4

    @property
    def to_weight(self) -> int:
        """Cycles from a key's address to its weights' sum, which is registered."""
        return 1 + self.popcount.latency

    def _weights(self, m, query, key, offset, own):
        """Weights of a pair in the numerator and in the denominator.

        Parameters
        ----------
        m : Module
        query, key : Value
            Codes, a cycle after the key's address.
        offset, own : Value
            C, and whether the pair is a token with itself; with the address.
        """
        m.d.comb += [self.popcount.a.eq(query), self.popcount.b.eq(key)]
        offset = delay(m, offset, self.to_weight, name="offset")
        similarity = self.popcount.similarity << self.config.offset_fraction
        weight = register(m, similarity + offset, name="weight")
        value_weight = weight
        if self.config.value_term == "own":
            own = delay(m, own, self.to_weight, name="own")
            value_weight = register(m, similarity + Mux(own, offset, 0), name="value_weight")
        return value_weight, weight


class XnorCore(PairCore):
    """Quadratic form: Σ_j w_ij·v_j over Σ_j w_ij.

    A query of N tokens takes N cycles, and ``initiation_interval`` - 1 more for its blocks to
    leave; its first block leaves N - 1 cycles later than that of a single token.
    """

    @classmethod
    def fits(cls, config: Config) -> bool:
        return config.dataflow == "xnor"

    def elaborate(self, platform) -> Module:
        m = Module()
        c, fold = self.config, self.config.state_fold
        m.submodules.popcount = self.popcount
        index_bits = ceil_log2(c.max_tokens)
        depth = c.state_banks << index_bits

        # -- key pass: store code and values -------------------------------------------------------
        m.submodules.sequences = sequences = self._sequence_queue()
        key = self.keys.payload
        fields = {side.code: key[side.code] for side in c.wire.inlets[0].all}
        fields |= {"v": key.v.as_value()}
        stores = {
            name: memory.Memory(shape=unsigned(len(field)), depth=depth, init=[])
            for name, field in fields.items()
        }
        for name, store in stores.items():
            m.submodules[MEMORIES[name]] = store
        take = Signal()
        m.d.comb += [
            sequences.key.eq(key),
            sequences.take.eq(take),
            take.eq(self.keys.valid & sequences.room),
            self.keys.ready.eq(take),
        ]
        for name, element in fields.items():
            write = stores[name].write_port()
            m.d.comb += [
                write.addr.eq(Cat(sequences.position[:index_bits], sequences.bank)),
                write.data.eq(element),
                write.en.eq(take & ~key.tag.error),
            ]
        stores |= self._queries(m, sequences, depth, index_bits)

        # -- query pass: one key after another for each query --------------------------------------
        current = sequences.current
        query_index = Signal(index_bits)
        key_index = Signal(index_bits)
        running = Signal()
        launch = Signal()
        last_key = Signal()
        last_query = Signal()
        gap = fold.steps  # cycles that the blocks of a query need
        pause = Signal(range(gap + 1))
        query_code = Signal(c.code_bits)
        read_query = stores[c.sides.query.code].read_port()
        read_code = stores[c.sides.key.code].read_port()
        read_value = stores["v"].read_port()
        final_key, query_bank = self._of_pair(sequences)
        m.d.comb += [
            launch.eq(~running & sequences.waiting & self.grant & (pause == 0)),
            self.launch.eq(launch),
            read_query.addr.eq(Cat(query_index, query_bank)),
            read_code.addr.eq(Cat(key_index, current.bank)),
            read_value.addr.eq(Cat(key_index, current.bank)),
            query_code.eq(read_query.data),
            last_key.eq(running & (key_index == final_key[:index_bits])),
            last_query.eq(query_index == current.final[:index_bits]),
            sequences.release.eq(last_key & last_query),
        ]
        with m.If(launch):
            m.d.sync += [running.eq(1), key_index.eq(0)]
        with m.Elif(running):
            m.d.sync += key_index.eq(key_index + 1)
            with m.If(last_key):
                m.d.sync += [
                    running.eq(0),
                    pause.eq(gap),
                    query_index.eq(Mux(last_query, 0, query_index + 1)),
                ]
        with m.If(~running & (pause != 0)):
            m.d.sync += pause.eq(pause - 1)

        # -- similarity, weight, product, sum ------------------------------------------------------
        value_weight, weight = self._weights(
            m, query_code, read_code.data, current.offset, key_index == query_index
        )
        travel = self.to_weight + 2  # from a key's address to its sum
        first = delay(m, running & (key_index == 0), travel, name="first")
        valid = delay(m, running, travel, name="valid", reset=True)
        last = delay(m, last_key, travel + 1, name="last", reset=True)

        value = delay(m, read_value.data, self.to_weight, name="value")
        sums, denominator = self._weighted_sums(
            m, value_weight, weight, value, first, valid
        )
        m.d.comb += self.busy.similarities.eq(running)

        tag = {
            name: delay(m, source, travel + 1, name=f"tag_{name}")
            for name, source in (
                ("user", current.user),
                ("last", last_query),
                ("error", current.error),
                *((name, current[name]) for name in c.flow.tag_fields),
            )
        }
        self._send_blocks(m, last, sums, denominator, tag)
        return m

    def _sequence_queue(self):
        """The sequences in flight."""
        return SequenceQueue(self.config, self.config.state_banks, "first")

    def _queries(self, m, sequences, depth, index_bits):
        """Memories of queries that come by themselves, by the name of their code."""
        return {}

    def _of_pair(self, sequences):
        """Of the sequence that is worked on: index of its last key, and bank of its queries."""
        return sequences.current.final, sequences.current.bank


class CrossXnorCore(XnorCore):
    """`XnorCore` with queries of their own stream, kept in banks of their own."""

    @classmethod
    def fits(cls, config: Config) -> bool:
        return config.flow.has_pairs and super().fits(config)

    def _sequence_queue(self):
        banks = self.config.state_banks
        return PairQueue(self.config, banks, "first", banks)

    def _queries(self, m, sequences, depth, index_bits):
        name, query, take = self.config.sides.query.code, self.queries.payload, self.queries.ready
        store = memory.Memory(shape=unsigned(len(query[name])), depth=depth, init=[])
        m.submodules[MEMORIES[name]] = store
        write = store.write_port()
        m.d.comb += [
            take.eq(self.queries.valid & sequences.queries.room),
            sequences.queries.key.eq(query),
            sequences.queries.take.eq(take),
            write.addr.eq(
                Cat(sequences.queries.position[:index_bits], sequences.queries.bank)
            ),
            write.data.eq(query[name]),
            write.en.eq(take & ~query.tag.error),
        ]
        return {name: store}

    def _of_pair(self, sequences):
        return sequences.final_key, sequences.queries.current.bank
