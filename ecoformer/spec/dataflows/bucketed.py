# SPDX-License-Identifier: Apache-2.0
"""``dataflow = "bucketed"``: the state as tables that groups of code bits address."""

from functools import cached_property

from ecoformer.spec.dataflows.linear import LinearFlow

__all__ = ["Bucketed"]


class Bucketed(LinearFlow):
    """Sums of values by code, transformed once per sequence to what queries add up."""

    @property
    def group_bits(self) -> int:
        """Code bits of a group; the last group may have fewer."""
        return self.bits.group_bits

    @property
    def state_rows(self) -> int:
        """A row for each group of code bits."""
        return -(-self.config.code_bits // self.group_bits)

    @property
    def row_width(self) -> int:
        return self.bits.table_sum_width

    @property
    def table_latency(self) -> int:
        """Cycles in which a table of sums answers; two where a row comes back late enough."""
        return 1 if self.state_fold.steps < 3 else 2

    @cached_property
    def transform_cycles(self) -> int:
        fold, size = self.state_fold, 1 << self.group_bits
        tree = max(1, (self.group_bits - 1).bit_length())
        return size * fold.steps * fold.input_lanes + size // 2 + tree + 3 + self.table_latency

    @property
    def ring_tokens(self) -> int:
        """A sequence, and what arrives while one is transformed."""
        c = self.config
        meanwhile = -(-self.transform_cycles // c.cycles_per_token) + 2
        return c.max_tokens + min(c.max_tokens, meanwhile)

    @property
    def table_bits(self) -> int:
        """Bits of all tables: two of sums by code, and one of half as many for every bank."""
        fold, bits = self.state_fold, self.bits
        entries = fold.lanes * fold.steps << self.group_bits
        halves = self.config.state_banks * bits.table_sum_width
        return entries * (2 * bits.plain_sum_width + halves // 2)

    @property
    def buffer_bits(self) -> int:
        return super().buffer_bits + self.table_bits
