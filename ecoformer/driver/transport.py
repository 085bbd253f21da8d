# SPDX-License-Identifier: Apache-2.0
"""What a driver needs from the way to the engine, whatever that is."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Self

from ecoformer.driver.design import Design

__all__ = ["Answer", "Packet", "Transport"]


class Packet(NamedTuple):
    """A sequence on its way to the engine.

    Parameters
    ----------
    user : int
        Its parameter set.
    data : bytes
        Whole beats.
    answer_bytes : int
        Size of its results.
    """

    user: int
    data: bytes
    answer_bytes: int


class Answer(NamedTuple):
    """What comes back for a packet.

    Parameters
    ----------
    error : bool
        Whether the engine found the packet bad.
    data : bytes
        Whole beats; one of zeros for a bad packet.
    """

    error: bool
    data: bytes


class Transport(ABC):
    """Registers and packets of one engine.

    Offsets are those of the engine's registers. Every method raises `DeviceError`.

    Members
    -------
    design : Design
        The engine at the other end; `Device` sets it.
    """

    design: Design

    @abstractmethod
    def read(self, offsets: Sequence[int]) -> list[int]:
        """Values of registers."""

    @abstractmethod
    def write(self, writes: Sequence[tuple[int, int]]) -> None:
        """Write registers in order; each write is (offset, data)."""

    @abstractmethod
    def exchange(self, packets: Iterable[Packet]) -> Iterator[Answer]:
        """Send packets and yield the answer to each, in order."""

    @abstractmethod
    def reset(self) -> None:
        """Bring the engine to where a new host can begin: no packet is in flight afterwards.

        Over a board's link flags, counters and parameters are lost, too.
        """

    @abstractmethod
    def close(self) -> None:
        """Give back what the transport holds; it must not be used afterwards."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
