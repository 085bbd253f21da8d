# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The causal attention core: a token is accumulated and queried in one pass and one slot.

Rows are queried as they are updated. So nothing waits for the end of a sequence: there is no ring
of codes and no bank, and the answer to a token leaves ``latency`` cycles after it was launched,
whatever follows it. The states of all contexts lie in one memory, so tokens of any contexts follow
one another without a lost cycle.
"""

from amaranth import *
from amaranth.lib import data

from ecoformer.hw.attention.context_array import ContextArray
from ecoformer.hw.attention.linear import LinearCore
from ecoformer.hw.attention.value_term import ValueSums, ValueTerm
from ecoformer.hw.lib.pipeline import block_of, delay
from ecoformer.hw.lib.steps import Steps
from ecoformer.hw.stream.payloads import Key
from ecoformer.spec.config import Config

__all__ = ["CausalCore"]


class CausalValueSums(ValueSums):
    """The sum V of the values so far, a block of it in each row of an array."""

    def accumulate(self, m: Module, steps: Steps, values: Value, has_key: Value) -> None:
        self.core.address_rows(m, self.array, steps.start, steps.last)
        m.d.comb += [
            self.array.accumulate.eq(steps.last & has_key),
            self.array.signs.eq(1),
            self.array.values.as_value().eq(values),
            self.core.busy.value_sums.eq(self.array.accumulate),
        ]


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


class CausalCore(LinearCore):
    """Linear form over the tokens so far: (h_iᵀS_i << g) + C·V_i over (h_iᵀz_i << g) + C·i.

    A token of which ``count`` is 1 finds its context empty. Tokens before an error token have been
    answered when it comes; it is one more result.
    """

    value_terms = {"sum": CausalValueSums, "own": CausalOwnValues}

    @classmethod
    def fits(cls, config: Config) -> bool:
        return config.mask == "causal" and config.dataflow == "accumulate"

    @property
    def full_rate_tokens(self) -> int:
        return 1

    @property
    def lead(self) -> int:
        """A slot is decided in the cycle before it."""
        return 1

    def _array(self, **shape):
        return ContextArray(contexts=self.config.contexts, **shape)

    def _state(self) -> ContextArray:
        return self._array(
            depth=self.fold.steps,
            input_lanes=self.fold.input_lanes,
            output_lanes=self.fold.output_lanes,
            width=self.bits.state_width,
            value_width=self.config.value_width,
        )

    def address_rows(self, m: Module, array: ContextArray, start: Value, following: Value) -> None:
        """Address the first row of the token's context from ``start`` on, then those that follow.

        Parameters
        ----------
        m : Module
        array : ContextArray
        start, following : Value
            Strobes: a token is taken; the next cycle is for the next row.
        """
        context = self.keys.payload.tag.context
        with m.If(start):
            m.d.sync += array.address.eq(context * array.depth)
        with m.Elif(following):
            m.d.sync += array.address.eq(array.address + 1)

    def elaborate(self, platform) -> Module:
        m = Module()
        c, key = self.config, self.keys.payload
        m.submodules.state = state = self.state
        m.submodules.code_sums = code_sums = self.code_sums
        m.submodules.similarity = self.similarity
        self.value_term.add(m)

        # -- a slot: a token is taken and launched at once ----------------------------------------
        go, open_ = Signal(), Signal()
        phase = Signal(range(c.cycles_per_token))
        m.d.comb += [
            open_.eq((phase <= 1) & ~go),
            self.keys.ready.eq(go),
            self.launch.eq(go),
        ]
        m.d.sync += go.eq(open_ & self.keys.valid & self.grant)
        with m.If(go):
            m.d.sync += phase.eq(c.cycles_per_token - 1)
        with m.Elif(phase != 0):
            m.d.sync += phase.eq(phase - 1)

        token = Signal(Key(c), reset_less=True)
        first = Signal(reset_less=True)
        with m.If(go):
            m.d.sync += [token.eq(key), first.eq(key.count == 1)]

        # -- its steps -----------------------------------------------------------------------------
        m.submodules.steps = steps = Steps(self.fold.input_steps, self.fold.output_steps)
        m.submodules.code_steps = code_steps = Steps(self.code_fold.input_steps, 1)
        m.d.comb += [steps.start.eq(go), code_steps.start.eq(go)]
        has_key = ~token.tag.error
        values = self._values(m, token, steps, go)
        self.address_rows(m, state, go, steps.active)
        self.address_rows(m, code_sums, go, code_steps.active)
        m.d.comb += [
            state.accumulate.eq(steps.active & has_key),
            state.signs.eq(block_of(token.code, steps.input_block, self.fold.input_lanes)),
            state.values.as_value().eq(values),
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
        self._add_up(m, "code_row", code_sums, self.similarity, code_steps, asking, C(1))
        sums = self._sums(m, steps, asking, C(1))
        offset_values = self.value_term.values(m, token, steps)
        tag = {name: token.tag[name] for name in token.tag.shape().members}
        self._results(m, steps, C(1), token, tag, sums, offset_values)
        m.d.comb += [
            self.busy.accumulate_lanes.eq(state.accumulate),
            self.busy.code_sums.eq(code_sums.accumulate),
            self.busy.query_lanes.eq(steps.active),
            self.busy.similarity_lanes.eq(code_steps.active),
            self.busy.offset_products.eq(steps.first),
        ]
        return m
