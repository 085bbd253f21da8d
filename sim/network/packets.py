# SPDX-License-Identifier: Apache-2.0
"""Images as packets of pixels, and bad ones between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ecoformer.spec.network.design import NetworkDesign

__all__ = ["BAD", "Packet", "bad_packet", "packets_of", "with_bad_ones"]

BAD = ("short", "long", "one beat")
"""What may be wrong with the packet of an image."""


@dataclass(frozen=True)
class Packet:
    """What is sent for an image.

    Parameters
    ----------
    beats : uint8 array [pixels, channels]
    image : int or None
        Which image this is; None for a bad one.
    """

    beats: np.ndarray
    image: int | None


def packets_of(design: NetworkDesign, pixels: np.ndarray) -> list[Packet]:
    """Packets of images uint8 [B, channels, S, S], in their order."""
    beats = pixels.reshape(len(pixels), design.channels, -1).transpose(0, 2, 1)
    return [Packet(np.ascontiguousarray(rows), number) for number, rows in enumerate(beats)]


def bad_packet(design: NetworkDesign, kind: str, rng: np.random.Generator) -> Packet | None:
    """A packet of noise that is ``kind`` of `BAD`; None where no image of this size can be."""
    whole = design.pixels
    sizes = {"short": (1, whole), "long": (whole + 1, 2 * whole + 2), "one beat": (1, 2)}[kind]
    if sizes[0] >= sizes[1] or whole == 1 and kind == "one beat":
        return None
    beats = rng.integers(0, 256, (int(rng.integers(*sizes)), design.channels), dtype=np.uint8)
    return Packet(beats, None)


def with_bad_ones(
    design: NetworkDesign, packets: Sequence[Packet], rng: np.random.Generator
) -> list[Packet]:
    """``packets`` with a bad one of every kind in turn after each but the last."""
    mixed = list(packets[:1])
    for number, packet in enumerate(packets[1:]):
        bad = bad_packet(design, BAD[number % len(BAD)], rng)
        mixed += [*filter(None, [bad]), packet]
    return mixed
