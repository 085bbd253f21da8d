# SPDX-License-Identifier: Apache-2.0
"""What a layer of a network answers for: its memories, its multipliers, what its LUTs are for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ecoformer.spec.cost.fabric import Memory

__all__ = ["Layer", "levels", "memory_features", "parameter_memory", "queue"]

LOAD_BITS = 8
"""Bits of parameters that are written at once."""


@dataclass(frozen=True)
class Layer(ABC):
    """A layer of a network.

    Latencies are those of the hardware. They decide only how many tokens wait somewhere, hence how
    deep memories are.

    Parameters
    ----------
    name : str
    loads : bool
        Whether its parameters can be loaded.
    """

    name: str
    loads: bool

    @property
    @abstractmethod
    def memories(self) -> list[Memory]:
        """Every memory, as often as there is one of it."""

    @property
    def parameter_rows(self) -> list[Memory]:
        """Those of `memories` that a load writes byte by byte."""
        return [m for m in self.memories if m.granule == LOAD_BITS] if self.loads else []

    @property
    @abstractmethod
    def amounts(self) -> Mapping[str, float]:
        """Amount of everything beside its memories that takes LUTs, by name."""

    @property
    def dsp(self) -> int:
        """MULT18X18D."""
        return 0

    @property
    def block_ram(self) -> int:
        """DP16KD."""
        return sum(memory.blocks for memory in self.memories)

    @property
    def features(self) -> dict[str, float]:
        """Amount of everything that takes LUTs, by name."""
        found = Counter(self.amounts) + memory_features(self.memories)
        for rows in self.parameter_rows:
            found["loaded memories"] += 1
            found["loaded bytes"] += rows.width // LOAD_BITS
        return dict(found)


def memory_features(memories: Iterable[Memory]) -> Counter[str]:
    """Amount of everything that memories take LUTs for, by name."""
    found: Counter[str] = Counter()
    for memory in memories:
        found["distributed RAM"] += memory.luts
        found["distributed RAM, selected bits"] += memory.selected
        found["block RAM, selected bits"] += memory.block_selected
        found["table LUTs"] += memory.table_luts
        found["table selected bits"] += memory.table_selected
    return found


def parameter_memory(name: str, bits: int, rows: int, loads: bool) -> Memory:
    """A memory of parameters: a table, or one that a load writes byte by byte."""
    if not loads:
        return Memory(name, bits, rows, "table")
    return Memory(name, -(-bits // LOAD_BITS) * LOAD_BITS, rows, granule=LOAD_BITS)


def queue(name: str, width: int, depth: int) -> list[Memory]:
    """The memory of a queue whose oldest entry is there at once; of a single entry, a register."""
    return [Memory(name, width, depth, "distributed")] if depth > 1 else []


def levels(terms: int) -> int:
    """Cycles in which so many terms are added up, two at a time."""
    return max(1, (terms - 1).bit_length())
