# SPDX-License-Identifier: Apache-2.0
"""Dataflows linear in N: a state is accumulated, then queried by the codes that wait in a ring."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ecoformer.spec.choices import ValueTerm
from ecoformer.spec.dataflows.coded import CodedFlow
from ecoformer.spec.units import Unit

if TYPE_CHECKING:
    from ecoformer.spec.folding import Fold

__all__ = ["LinearFlow", "Accumulate"]


class LinearFlow(CodedFlow):
    """A state that grows with every key and answers every query."""

    is_linear = True

    @property
    def sums_values(self) -> bool:
        """Whether V is summed; else each token's own value waits in the ring beside its code."""
        return self.config.value_term is ValueTerm.SUM

    @property
    def units(self) -> dict[str, Unit]:
        e, state, codes = self.config.value_dim, self.state_fold, self.code_fold
        return {
            "accumulate_lanes": Unit.of(state),
            "code_sums": Unit.of(codes),
            **(self._value_sums(state) if self.sums_values else {}),
            "query_lanes": Unit.of(state),
            "similarity_lanes": Unit.of(codes),
            # C·V of every block, and C·n once
            "offset_products": Unit(
                state.output_lanes + 1, state.output_steps, e + 1, multiplies=True
            ),
        }

    def _value_sums(self, state: Fold) -> dict[str, Unit]:
        return {"value_sums": Unit(state.output_lanes, state.output_steps, self.config.value_dim)}

    @property
    def buffer_bits(self) -> int:
        waiting_values = 0 if self.sums_values else self.value_bits
        return self.ring_tokens * (self.config.code_bits + waiting_values)


class Accumulate(LinearFlow):
    """``dataflow = "accumulate"``: the state S, one row for each code bit."""

    is_slotted = True

    @property
    def is_elementwise(self) -> bool:
        return self.sums_values
