# SPDX-License-Identifier: Apache-2.0
"""A link that damages what passes: flips, losses, repetitions and inventions of bytes."""

import random
from typing import Any

__all__ = ["NoisyLink"]


class NoisyLink:
    """Damages bytes on their way, in either direction.

    Parameters
    ----------
    link : object
        What `ecoformer.driver` calls a link.
    rng : Random
    rate : float
        Damages per byte.

    Members
    -------
    damages : dict of str to int
        How often each kind of damage was done.
    """

    def __init__(self, link: Any, rng: random.Random, rate: float):
        self.link, self.rng, self.rate = link, rng, rate
        self.settle = link.settle
        self.damages = dict.fromkeys(("flip", "cut", "loss", "repeat", "garbage"), 0)

    def write(self, data: bytes) -> None:
        """Send what is left of ``data``."""
        self.link.write(self._damaged(data))

    def read(self, most: int, timeout: float) -> bytes:
        """What is left of the bytes that came."""
        while data := self.link.read(most, timeout):
            if left := self._damaged(data):
                return left
        return b""

    def time(self) -> float:
        """As that of the link."""
        return self.link.time()

    def close(self) -> None:
        """Close the link."""
        self.link.close()

    def _damaged(self, data):
        data = bytearray(data)
        for _ in range(sum(self.rng.random() < self.rate for _ in data)):
            kind = self.rng.choice(list(self.damages))
            self.damages[kind] += 1
            place = self.rng.randrange(len(data) + 1)
            end = min(place + self.rng.randint(1, 16), len(data))
            match kind:
                case "flip":
                    for i in range(place, min(place + 1, len(data))):
                        data[i] ^= 1 << self.rng.randrange(8)
                case "cut":
                    del data[place:]
                case "loss":
                    del data[place:end]
                case "repeat":
                    data[end:end] = data[place:end]
                case "garbage":
                    data[place:place] = self.rng.randbytes(self.rng.randint(1, 16))
        return bytes(data)
