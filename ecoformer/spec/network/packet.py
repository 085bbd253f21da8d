# SPDX-License-Identifier: Apache-2.0
"""The parameter packet: all parameters of a network as the bytes that load them at run time.

::

    header      HEADER_BYTES, by which a network knows that the packet is for it
    parameters  memory after memory as `memories` says, row after row, the lowest byte first
    checksum    CRC-32 of all bytes before it, the lowest byte first
"""

from __future__ import annotations

import enum
import hashlib
import zlib

from ecoformer.spec.network.image import NetworkImage
from ecoformer.spec.network.memories import parameter_memories
from ecoformer.spec.network.transformer import Transformer

__all__ = [
    "CHECK_BYTES", "HEADER_BYTES", "LoadAnswer", "NO_PARAMETERS", "answer_to", "load_cycles",
    "parameter_bytes", "parameter_header", "parameter_packet", "spoils",
]

FORMAT_VERSION = 1
HEADER_BYTES = 8
CHECK_BYTES = 4
NO_PARAMETERS = 1
"""Data of the answer to an image while parameters are spoilt; that of a bad image is 0."""


class LoadAnswer(enum.IntEnum):
    """What a packet is answered by. The first of these that applies, from the bottom up."""

    LOADED = 0
    """Its parameters are those of the network."""
    CHECKSUM = 1
    """The checksum differs. Parameters are spoilt."""
    LENGTH = 2
    """It ended early, or did not end. Parameters are spoilt, unless it ended with the header."""
    OTHER_DESIGN = 3
    """A byte of the header differs. Parameters are as they were."""


def parameter_header(design: Transformer) -> bytes:
    """What a parameter packet for ``design`` begins with: a hash of it and of its memories."""
    rows = ((memory.name, memory.count, memory.bits) for memory in parameter_memories(design))
    text = f"{FORMAT_VERSION} {design.hardware_fingerprint} {[*rows]}"
    return hashlib.sha256(text.encode()).digest()[:HEADER_BYTES]


def parameter_bytes(design: Transformer) -> int:
    """Bytes of the parameters within a packet."""
    return sum(memory.bytes for memory in parameter_memories(design))


def parameter_packet(design: Transformer, image: NetworkImage) -> bytes:
    """The packet that loads ``image`` into a network of ``design``."""
    content = bytearray(parameter_header(design))
    for memory in parameter_memories(design):
        for row in memory.contents(image):
            content += row.to_bytes(memory.row_bytes, "little")
    return bytes(content) + zlib.crc32(content).to_bytes(CHECK_BYTES, "little")


def load_cycles(design: Transformer) -> int:
    """Cycles from the first byte of a packet to its answer, if a byte is offered in every cycle.

    Its checksum's first byte goes through all memories, a cycle each; those of the heads of a block
    count as one, and so do those that blocks share.
    """
    alone = [memory for memory in parameter_memories(design) if ".attention." not in memory.name]
    of_blocks = sum(memory.name.startswith("blocks.") for memory in alone)
    shared = of_blocks - of_blocks // design.passes
    hops = len(alone) - shared + len(design.block_hardware)
    return HEADER_BYTES + parameter_bytes(design) + hops + 2


def answer_to(design: Transformer, packet: bytes) -> LoadAnswer:
    """By what a network of ``design`` answers a packet of at least one byte."""
    header = parameter_header(design)
    if packet[:HEADER_BYTES] != header[: len(packet)]:
        return LoadAnswer.OTHER_DESIGN
    if len(packet) != HEADER_BYTES + parameter_bytes(design) + CHECK_BYTES:
        return LoadAnswer.LENGTH
    content, check = packet[:-CHECK_BYTES], packet[-CHECK_BYTES:]
    if zlib.crc32(content) != int.from_bytes(check, "little"):
        return LoadAnswer.CHECKSUM
    return LoadAnswer.LOADED


def spoils(design: Transformer, packet: bytes, taken: int) -> bool:
    """Whether the first ``taken`` bytes of ``packet`` spoil what was loaded before.

    They do once the header is whole, is that of ``design``, and does not end the packet. A reset
    then cannot bring back what was there.
    """
    begun = HEADER_BYTES < len(packet) and HEADER_BYTES <= taken
    return begun and packet[:HEADER_BYTES] == parameter_header(design)
