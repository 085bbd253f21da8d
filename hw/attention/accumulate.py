# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""The linear attention core that keeps S as it is: a row for every step, in memory or registers."""

from ecoformer.hw.attention.banked import BankedCore
from ecoformer.hw.attention.state import StateArray
from ecoformer.hw.attention.value_term import OwnValues, ValueSums
from ecoformer.hw.lib.pipeline import block_of
from ecoformer.spec.config import Config

__all__ = ["AccumulateCore"]


class AccumulateCore(BankedCore):
    """Linear form as in `BankedCore`; codes are signs with which the values are accumulated."""

    value_terms = {"sum": ValueSums, "own": OwnValues}

    @classmethod
    def fits(cls, config: Config) -> bool:
        return config.dataflow == "accumulate"

    def _state(self) -> StateArray:
        return self._array(
            depth=self.fold.steps,
            input_lanes=self.fold.input_lanes,
            output_lanes=self.fold.output_lanes,
            width=self.bits.state_width,
            value_width=self.config.value_width,
        )

    def _walk_state(self, m, state, steps, sequences, code, query):
        m.d.comb += [
            state.address.eq(steps.step),
            state.signs.eq(block_of(code, steps.input_block, self.fold.input_lanes)),
        ]
        return query
