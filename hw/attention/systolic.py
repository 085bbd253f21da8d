# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The linear attention core that takes a token every cycle."""

from amaranth import *
from amaranth.lib import data

from ecoformer.hw.attention.banked import BankedCore
from ecoformer.hw.attention.systolic_array import SystolicArray
from ecoformer.hw.attention.value_term import OwnValues, ValueTerm
from ecoformer.hw.lib.pipeline import delays
from ecoformer.hw.lib.steps import Steps
from ecoformer.spec.config import Config

__all__ = ["SystolicCore"]


class SystolicSums(ValueTerm):
    """The sum V of all values, which the array keeps beside the state."""

    in_state = True

    @property
    def latency(self) -> int:
        return self.core.state.plain_time

    def accumulate(self, m: Module, steps: Steps, values: Value, has_key: Value) -> None:
        m.d.comb += self.core.busy.value_sums.eq(steps.last & has_key)

    def values(self, m: Module, query_key: data.View, steps: Steps) -> list[Value]:
        return self.core.state.plain


class SystolicOwnValues(OwnValues):
    """The token's own value, delayed like the column of its lane."""

    @property
    def latency(self) -> int:
        """Just in time for the sums: they wait for the product and its operand."""
        return self.core.state.latency - 2

    def values(self, m: Module, query_key: data.View, steps: Steps) -> list[Value]:
        own = super().values(m, query_key, steps)
        return [
            delays(m, own[lane], lag, name=f"own_value_{lane}")[-1]
            for lane, lag in enumerate(self.core.lags)
        ]


class SystolicCore(BankedCore):
    """Linear form as in `BankedCore`, at a token every cycle: its state is a systolic array.

    Numerators lag by the column of cells that they come from.
    """

    value_terms = {"sum": SystolicSums, "own": SystolicOwnValues}

    def __init__(self, config: Config, upstream: int = 1):
        super().__init__(config, upstream)
        self.lags = [lag for lag, lanes in enumerate(self.state.columns) for _ in lanes]

    @classmethod
    def fits(cls, config: Config) -> bool:
        return config.dataflow == "accumulate" and config.is_full_rate

    @property
    def sum_time(self) -> int:
        return self.state.latency

    def _state(self) -> SystolicArray:
        c, bits = self.config, self.bits
        keeps_sums = self.value_terms[c.value_term].in_state
        return SystolicArray(
            inputs=c.code_bits,
            outputs=c.value_dim,
            width=bits.state_width,
            value_width=c.value_width,
            result_width=bits.value_sum_width,
            banks=self.banks,
            plain_width=bits.plain_sum_width if keeps_sums else None,
        )

    def _walk_state(self, m, state, steps, sequences, code, query):
        m.d.comb += state.signs.eq(code)
        return query

    def _sums(self, m, steps, signs, has_query):
        m.d.comb += self.state.query.eq(signs)
        return self.state.sums
