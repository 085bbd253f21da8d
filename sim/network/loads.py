# SPDX-License-Identifier: Apache-2.0
"""Parameter packets as they are sent, good and bad, and what they do to a network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ecoformer.spec.network.image import NetworkImage
from ecoformer.spec.network.load import Design
from ecoformer.spec.network.packet import CHECK_BYTES, HEADER_BYTES, LoadAnswer, spoils

__all__ = ["BAD_LOADS", "Load", "bad_load"]

BAD_LOADS = (
    "within the header", "header alone", "other header", "within the parameters",
    "parameters alone", "within the checksum", "other parameters", "other checksum",
    "a byte too long", "far too long",
)
"""What may be wrong with a parameter packet."""
FAR = 1_000
"""Bytes that one may be too long."""


@dataclass(frozen=True)
class Load:
    """A parameter packet.

    Parameters
    ----------
    packet : bytes
    image : NetworkImage
        What it is meant to load.
    after : int
        Packets of its scene after which it is offered.
    """

    packet: bytes
    image: NetworkImage
    after: int = 0

    def writes(self, design: Design, taken: int) -> bool:
        """Whether some parameters are written once ``taken`` bytes of it were taken."""
        return spoils(design, self.packet, taken)

    def outcome(self, answer: int) -> NetworkImage | None:
        """Parameters once it was answered, if it writes some; None if they are spoilt.

        Parameters
        ----------
        answer : int
            -1 if it was not answered.
        """
        return self.image if answer == LoadAnswer.LOADED else None


def bad_load(packet: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """``packet`` with something wrong with it, ``kind`` of `BAD_LOADS`."""
    size, start, middle = len(packet), HEADER_BYTES, len(packet) - CHECK_BYTES
    cuts = {
        "within the header": (1, start), "header alone": (start, start + 1),
        "within the parameters": (start + 1, middle), "parameters alone": (middle, middle + 1),
        "within the checksum": (middle + 1, size),
    }
    flips = {
        "other header": (0, start), "other parameters": (start, middle),
        "other checksum": (middle, size),
    }
    if kind in cuts:
        return packet[: int(rng.integers(*cuts[kind]))]
    if kind in flips:
        changed = bytearray(packet)
        changed[int(rng.integers(*flips[kind]))] ^= 1 << int(rng.integers(8))
        return bytes(changed)
    more = 1 if kind == "a byte too long" else int(rng.integers(2, FAR))
    return packet + rng.integers(0, 256, more, dtype=np.uint8).tobytes()
