# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The causal attention core: a token is accumulated and then queried, in one pass and one slot.

There is one state, and its rows are queried as they are updated. So nothing waits for the end of a
sequence: no ring of codes, no bank, and the answer to a token leaves ``latency`` cycles after it
was taken, whatever follows it.
"""

from amaranth import *
from amaranth.lib import data

from ecoformer.hw.attention.accumulate import AccumulateCore
from ecoformer.hw.attention.linear import LinearCore
from ecoformer.hw.attention.state import StateArray
from ecoformer.hw.attention.value_term import ValueSums, ValueTerm
from ecoformer.hw.lib.pipeline import block_of, delay, register
from ecoformer.hw.lib.steps import Steps
from ecoformer.hw.stream.payloads import Key, core_scalars
from ecoformer.spec.config import Config

__all__ = ["CausalCore", "RunningArray"]


class RunningArray(StateArray):
    """`StateArray` without banks, whose ``row`` is the updated one, a cycle later."""

    @property
    def latency(self) -> int:
        """Cycles from an address to its updated row."""
        return self.update_latency + 1

    def _registers(self, m, updated, late, finish):
        running = register(m, updated, name="running")
        return running, running

    def _memories(self, m, updated, accumulate, finish):
        address = register(m, self.address, name="write_address")
        running = self._rows(m, "running", self.depth, updated, accumulate, address)
        return running, register(m, updated, name="updated_row")


class CausalOwnValues(ValueTerm):
    """The token's own value, which is still there."""

    def __init__(self, core: LinearCore):
        super().__init__(core)
        self.block: Value = C(0)

    @property
    def latency(self) -> int:
        return self.core.state.latency

    def accumulate(self, m: Module, steps: Steps, values: Value, has_key: Value) -> None:
        self.block = values

    def values(self, m: Module, query_key: data.View, steps: Steps) -> data.View:
        layout = data.ArrayLayout(signed(self.core.config.value_width), self.core.fold.output_lanes)
        return data.View(layout, delay(m, self.block, self.latency, name="own_values"))


class CausalCore(AccumulateCore):
    """Linear form over the tokens so far: (h_iᵀS_i << g) + C·V_i over (h_iᵀz_i << g) + C·i.

    A packet begins with an empty state. Tokens before an error token have been answered when it
    comes; it is one more result.
    """

    value_terms = {"sum": ValueSums, "own": CausalOwnValues}

    @classmethod
    def fits(cls, config: Config) -> bool:
        return config.mask == "causal"

    def _array(self, **shape):
        return RunningArray(banks=1, **shape)

    @property
    def full_rate_tokens(self) -> int:
        return 1

    def elaborate(self, platform) -> Module:
        m = Module()
        c, key = self.config, self.keys.payload
        m.submodules.state = state = self.state
        m.submodules.code_sums = code_sums = self.code_sums
        m.submodules.similarity = self.similarity
        self.value_term.add(m)

        # -- a slot: a token is taken and launched at once ---------------------------------------
        go, ready, open_ = Signal(), Signal(), Signal()
        phase = Signal(range(c.cycles_per_token))
        can = self._decided(m, self.keys.valid & self.grant, "token")
        m.d.comb += [
            ready.eq(open_ & can), self.keys.ready.eq(go), self.launch.eq(go),
        ]
        if self.lead < 2:
            m.d.comb += [open_.eq(phase == 0), go.eq(ready)]
        else:  # decided a cycle ahead, as in `LinearCore`
            m.d.comb += open_.eq((phase <= 1) & ~go)
            m.d.sync += go.eq(ready)
        with m.If(go):
            m.d.sync += phase.eq(c.cycles_per_token - 1)
        with m.Elif(phase != 0):
            m.d.sync += phase.eq(phase - 1)

        token = Signal(Key(c), reset_less=True)
        fields = {"count": self.bits.count_width, **core_scalars(c)}
        query = Signal(data.StructLayout({**fields, "user": c.tuser_width, "error": 1}))
        begins = Signal(init=1)
        first, query_last = Signal(), Signal()
        with m.If(go):
            m.d.sync += [
                token.eq(key),
                first.eq(begins),
                begins.eq(key.tag.last),
                query.count.eq(Mux(begins, 1, query.count + 1)),
                *(query[name].eq(key[name]) for name in core_scalars(c)),
                query.user.eq(key.tag.user),
                query.error.eq(key.tag.error),
                query_last.eq(key.tag.last),
            ]

        # -- its steps -----------------------------------------------------------------------------
        m.submodules.steps = steps = Steps(self.fold.input_steps, self.fold.output_steps)
        m.submodules.code_steps = code_steps = Steps(self.code_fold.input_steps, 1)
        m.d.comb += [steps.start.eq(go), code_steps.start.eq(go)]
        has_key = ~query.error
        values = self._values(m, token, steps, go)
        m.d.comb += [
            state.accumulate.eq(steps.active & has_key),
            state.values.as_value().eq(values),
            code_sums.address.eq(code_steps.step),
            code_sums.accumulate.eq(code_steps.active & has_key),
            code_sums.signs.eq(
                block_of(token.code, code_steps.input_block, self.code_fold.input_lanes)
            ),
            code_sums.values[0].eq(1),
        ]
        self.value_term.accumulate(m, steps, values, has_key)
        for array in (state, *self.value_term.arrays, code_sums):
            m.d.comb += array.first.eq(first)
        asking = token[self.asking]
        signs = self._walk_state(m, state, steps, None, token.code, asking)
        self._add_up(m, "code_row", code_sums, self.similarity, code_steps, asking, C(1))
        sums = self._sums(m, steps, signs, C(1))
        offset_values = self.value_term.values(m, token, steps)
        self._results(m, steps, C(1), query, query_last, sums, offset_values)
        m.d.comb += [
            self.busy.accumulate_lanes.eq(state.accumulate),
            self.busy.code_sums.eq(code_sums.accumulate),
            self.busy.query_lanes.eq(steps.active),
            self.busy.similarity_lanes.eq(code_steps.active),
            self.busy.offset_products.eq(steps.first),
        ]
        return m
