# SPDX-License-Identifier: Apache-2.0
"""``mask = "causal"``: contexts that packets continue, and answers that wait for no other token."""

from functools import cached_property
from typing import ClassVar

from ecoformer.spec.dataflows.base import Flow
from ecoformer.spec.dataflows.linear import LinearFlow
from ecoformer.spec.dataflows.xnor import Xnor
from ecoformer.spec.folding import Fold

__all__ = ["Causal", "CausalAccumulate", "CausalXnor", "LEAST_CYCLES"]

LEAST_CYCLES = 4
"""Cycles per token in which a row of a state is read, updated and written back, at least."""


class Causal(Flow):
    """What flows under a causal mask share: the memory of contexts, and the rules it brings."""

    passes = 1
    slots = "N"
    has_contexts = True
    lookup_cycles = 2
    grows_with: ClassVar[str] = "contexts"
    buffers: ClassVar[str] = "memory of contexts"

    def check(self) -> None:
        c = self.config
        if c.engines > 1:
            raise ValueError(
                f"engines must be 1 with mask = {c.mask!r}, because the state of a context is in "
                f"one of them, not {c.engines}"
            )
        if c.cycles_per_token < LEAST_CYCLES:
            raise ValueError(
                f"cycles_per_token must be at least {LEAST_CYCLES} with mask = {c.mask!r}, because "
                f"a row of a state is updated and back before the next token needs it, not "
                f"{c.cycles_per_token}"
            )


    @property
    def least_cycles(self) -> int:
        """Cycles per token that tokens of any contexts take at least, with this bus."""
        return max(LEAST_CYCLES, self.config.input_beats + self.lookup_cycles)

    @property
    def published(self) -> dict[str, int]:
        return {"least_per_token": self.least_cycles, "lookup": self.lookup_cycles}

    @property
    def beat_fields(self) -> dict[str, int]:
        return {"begin": self.config.wire.begin_bits, **self.tag_fields}

    @property
    def tag_fields(self) -> dict[str, int]:
        return {"context": self.config.wire.tid_width}

    @property
    def key_fields(self) -> dict[str, int]:
        """``count``: tokens of the context up to this one."""
        return {"count": self.bits.count_width}


class CausalAccumulate(Causal, LinearFlow):
    """One state for each context, whose rows are queried as they are updated."""

    @cached_property
    def code_fold(self) -> Fold:
        """In a quarter of the time, so that the denominator is not what the answer waits for."""
        c = self.config
        return Fold(c.code_bits, 1, c.cycles_per_token // 4)

    @property
    def state_bits(self) -> int:
        """Bits of the state of one context: S, z, and V where it is needed."""
        fold, codes, bits = self.state_fold, self.code_fold, self.bits
        sums = fold.output_steps * fold.output_lanes * bits.plain_sum_width
        return (
            fold.steps * fold.lanes * bits.state_width
            + codes.steps * codes.lanes * bits.code_sum_width
            + (sums if self.sums_values else 0)
        )

    @property
    def buffer_bits(self) -> int:
        return self.config.contexts * self.state_bits


class CausalXnor(Causal, Xnor):
    """The codes and values of every context, all of which a token meets."""

    def query_cycles(self, tokens: int) -> int:
        """As many as for the last token of a context, however few a packet has."""
        return super().query_cycles(self.config.max_tokens)

    @property
    def buffer_bits(self) -> int:
        c = self.config
        return c.contexts * c.max_tokens * (c.family.key_width + self.value_bits)
