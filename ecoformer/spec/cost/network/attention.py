# SPDX-License-Identifier: Apache-2.0
"""The attention of a block: an engine's datapath for each head, between two streams of elements."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from ecoformer.spec.choices import Mask
from ecoformer.spec.cost.estimate import datapath_multipliers, luts_of
from ecoformer.spec.cost.fabric import Memory
from ecoformer.spec.cost.features import datapath_features, word_bits
from ecoformer.spec.cost.memories import datapath_memories
from ecoformer.spec.cost.network.layer import Layer, memory_features, queue
from ecoformer.spec.memory_map import MemoryMap, Region
from ecoformer.spec.network.transformer import Transformer

__all__ = ["DATAPATHS", "HeadsLayer"]

AHEAD, MARGIN = 2, 6
"""Fewest tokens that have begun before a head takes the first, and cycles until it has."""
HASHING, KERNEL = 9, 25
"""About how many cycles a projection takes beside its steps, and a kernelized hash beside it."""
CORE = {Mask.FULL: 28, Mask.CAUSAL: 20}
"""The same of everything behind the hash."""

DATAPATHS = "datapath LUTs"
"""Name of what all datapaths take by the estimate of engines."""
NOT_OF_ENGINES = ("block RAM, selected bits", "table LUTs", "table selected bits")
"""Features that the estimate of engines does not have."""


@dataclass(frozen=True)
class HeadsLayer(Layer):
    """All heads of a block.

    Parameters
    ----------
    design : Transformer
    entering : int
        Cycles from the announcement of a token to its last element.
    cycles : int
        A token may begin every so many cycles.
    tags : int
        Tokens whose tags may wait; 0 where sequences come one after another.
    """

    design: Transformer
    entering: int
    cycles: int
    tags: int

    @property
    def leaving(self) -> int:
        """Cycles from the announcement of a token behind it to the token's last element."""
        d = self.design
        return self.entering + d.engine.cycles_per_token + d.width // d.lanes

    @property
    def latency(self) -> int:
        """About how many cycles a token takes, beyond those of the tokens that it waits for."""
        d, c = self.design, self.design.engine
        hashing = sum(fold.steps for fold in c.family.folds.values())
        if c.family.folds:
            hashing += HASHING + KERNEL * (len(c.family.folds) - 1)
        fold = c.flow.state_fold
        words = fold.steps - fold.input_steps + c.output_width
        return hashing + words + CORE[d.mask] - c.cycles_per_token + 2 * d.beats(d.width)

    @property
    def ahead(self) -> int:
        """Tokens that may have begun before a head takes the first."""
        return max(AHEAD, -(-(self.entering + MARGIN) // self.cycles))

    @property
    def memories(self) -> list[Memory]:
        return [*self.queues, *self._of_a_head() * self.design.heads]

    @property
    def queues(self) -> list[Memory]:
        """Those beside the datapaths."""
        tags = queue("tags", self._tag_bits, self.tags) if self.tags else []
        if self.ahead == AHEAD or self.design.engine.is_serial:
            return tags
        waiting = Memory("tokens on their way", self._token_bits, self.ahead - 1)
        return [*tags, *[waiting] * self.design.heads]

    def _of_a_head(self) -> list[Memory]:
        """Those of a datapath; parameters that nothing loads are tables of what is read of them."""
        c = self.design.engine
        found = datapath_memories(c)
        if self.loads:
            return found
        scalars = MemoryMap(c).regions["scalars"]
        regions = {region.name: region for region in (scalars, *c.family.regions)}
        return [
            _as_table(memory, regions[memory.name], self.design.passes)
            if memory.name in regions else memory
            for memory in found
        ]

    @property
    def dsp(self) -> int:
        return self.design.heads * datapath_multipliers(self.design.engine)

    @property
    def amounts(self) -> dict[str, float]:
        """Of what is beside the datapaths."""
        d, c = self.design, self.design.engine
        return {
            "attention": 1,
            "heads": d.heads,
            "fed bits": 0 if c.is_serial else d.heads * self._token_bits,
            "collected bits": d.heads * word_bits(c),
            "tag bits": d.heads * self.ahead * self._tag_bits if self.tags else 0,
            "loaded regions": d.heads * len(MemoryMap(c).regions) if self.loads else 0,
        }

    @property
    def around(self) -> dict[str, float]:
        """Amount of everything beside the datapaths that takes LUTs, by name."""
        return dict(Counter(self.amounts) + memory_features(self.queues))

    @property
    def features(self) -> dict[str, float]:
        c, heads = self.design.engine, self.design.heads
        of_a_head = Counter(datapath_features(c)) + memory_features(self._of_a_head())
        others = {name: heads * of_a_head.pop(name, 0) for name in NOT_OF_ENGINES}
        datapaths = {DATAPATHS: heads * luts_of(of_a_head)}
        return dict(Counter(self.around) + Counter(others) + Counter(datapaths))

    @property
    def _token_bits(self):
        """Bits of the vectors of a token of a head."""
        c = self.design.engine
        return c.sides.bits + c.flow.value_bits

    @property
    def _tag_bits(self):
        c = self.design.engine
        return c.wire.tid_width + c.flow.bits.count_width + 1


def _as_table(memory: Memory, region: Region, slots: int) -> Memory:
    """What is read of the first ``slots``; synthesis chooses the form by all slots."""
    used = memory.used or region.lanes * region.lane_bits
    pitch = memory.pitch or memory.width
    bits = len(range(0, region.lanes * region.lane_bits, pitch)) * used
    table = replace(memory, width=bits, style="table", pitch=0, used=0, granule=0)
    return table if table.is_block or slots > 1 else replace(table, depth=region.rows)
