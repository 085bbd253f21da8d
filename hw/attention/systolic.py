# amaranth: UnusedElaboratable=no
"""The linear attention core that takes a token every cycle."""

from ecoformer.hw.attention.linear import AccumulateCore
from ecoformer.hw.attention.systolic_array import SystolicArray, columns
from ecoformer.hw.lib.pipeline import delays

__all__ = ["SystolicCore"]


class SystolicCore(AccumulateCore):
    """Linear form as in `AccumulateCore`, at a token every cycle: its state is a systolic array.

    Numerators are late by their column, as :func:`hw.attention.systolic_array.columns` says.

    Parameters
    ----------
    config : Config
    """

    def _make_state(self):
        c, bits = self.config, self.bits
        self.value_sums = None
        self.state = SystolicArray(
            inputs=c.code_bits,
            outputs=c.value_dim,
            width=bits.state_width,
            value_width=c.value_width,
            result_width=bits.value_sum_width,
            banks=self.banks,
            plain_width=bits.plain_sum_width if c.value_term == "sum" else None,
        )

    @property
    def sum_time(self):
        """As in `AccumulateCore`; in column 0."""
        return self.state.latency

    @property
    def offset_time(self):
        """As in `AccumulateCore`; in column 0. A token's own values are read just in time."""
        own = self.state.latency - 2
        return own if self.config.value_term == "own" else self.state.plain_time

    def _walk_state(self, m, state, steps, sequences, code, query):
        m.d.comb += state.signs.eq(code)
        return query

    def _sums(self, m, steps, signs, has_query):
        m.d.comb += self.state.query.eq(signs)
        return self.state.sums

    def _offset_values(self, m, query_key, steps):
        if self.config.value_term == "sum":
            return self.state.plain
        own = super()._offset_values(m, query_key, steps)
        return [
            delays(m, own[i], g, name=f"own_value_{i}")[-1]
            for g, lanes in enumerate(columns(self.config))
            for i in lanes
        ]
