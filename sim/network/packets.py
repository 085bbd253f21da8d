# SPDX-License-Identifier: Apache-2.0
"""Images as packets of pixels, tokens as packets of a beat, and bad ones between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ecoformer.spec.network.decoder import DecoderDesign
from ecoformer.spec.network.design import NetworkDesign
from ecoformer.spec.network.tape import Tape

__all__ = [
    "BAD", "Packet", "TokenPacket", "bad_packet", "packets_of", "token_packets", "with_bad_ones",
]

BAD = ("short", "long", "one beat")
"""What may be wrong with the packet of an image."""


@dataclass(frozen=True)
class Packet:
    """What is sent for an image, or for a token.

    Parameters
    ----------
    beats : uint8 array [beats, bytes]
    image : int or None
        Which image, or which token of its scene, this is; None for a bad one.
    error : int
        Data of the answer to a bad one.
    """

    beats: np.ndarray
    image: int | None
    error: int = field(default=0, kw_only=True)

    @property
    def marks(self) -> np.ndarray:
        """Of every beat, int64: tlast, tuser, and from bit 2 on tid."""
        marks = np.zeros(len(self.beats), np.int64)
        marks[-1] = 1
        return marks

    @property
    def context(self) -> int:
        """The ``tid`` of its answer."""
        return 0


@dataclass(frozen=True)
class TokenPacket(Packet):
    """What is sent for a token.

    Parameters
    ----------
    token, number : int
        Its number, and that of its context.
    begin : bool
        Whether the context is empty before it.
    """

    token: int
    number: int
    begin: bool

    @property
    def marks(self) -> np.ndarray:
        return np.array([1 | self.begin << 1 | self.number << 2])

    @property
    def context(self) -> int:
        return self.number


def token_packets(design: DecoderDesign, tape: Tape) -> list[TokenPacket]:
    """Packets of the tokens of ``tape``, in their order, as if none were bad."""
    size, packets = design.token_bytes, []
    rows = zip(tape.tokens.tolist(), tape.contexts.tolist(), tape.begins.tolist())
    for place, (token, context, begin) in enumerate(rows):
        beat = np.frombuffer(token.to_bytes(size, "little"), np.uint8)[None]
        packets.append(TokenPacket(beat, place, token, context, bool(begin)))
    return packets


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
