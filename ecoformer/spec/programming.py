# SPDX-License-Identifier: Apache-2.0
"""The register accesses that load a parameter image, the same for every bench and driver."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ecoformer.spec.memory_map import MemoryMap
from ecoformer.spec.registers import REGISTERS, register_map

if TYPE_CHECKING:
    from ecoformer.spec.config import Config
    from ecoformer.spec.parameters import ParameterImage

__all__ = ["register_writes", "readable_registers", "POLL", "STATUS", "SHADOW_FREE"]

POLL = 1 << 40
"""Flag of a write: first poll STATUS until the shadow set accepts words."""
STATUS = REGISTERS["STATUS"].offset
SHADOW_FREE = REGISTERS["STATUS"]["SHADOW_FREE"].low
"""Bit of STATUS that says so."""


def register_writes(config: Config, image: ParameterImage) -> Iterator[int]:
    """Yield the writes that load and commit every set: POLL flag · byte address · 32-bit data."""
    address, data, commit = (
        REGISTERS[name].offset << 32 for name in ("PARAM_ADDRESS", "PARAM_DATA", "COMMIT")
    )
    memory_map = MemoryMap(config)
    for index in range(image.sets):
        expected, poll = None, POLL
        for word, value in memory_map.load_words(image, index):
            if word != expected:
                yield poll | address | word
                poll = 0
            yield data | value
            expected = word + 1
        yield commit | index


def readable_registers(config: Config) -> dict[str, int]:
    """Offset of every register that can be read, by name."""
    return {
        name: register.offset
        for name, register in register_map(config).items()
        if register.access.readable
    }
