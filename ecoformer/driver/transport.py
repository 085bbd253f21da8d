# SPDX-License-Identifier: Apache-2.0
"""What a driver needs from the way to the design, whatever that is."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, Self

from ecoformer.driver.design import Register
from ecoformer.driver.errors import DeviceError

__all__ = ["Answer", "Packet", "Streamed", "Transport", "good_answers", "recognise"]

FIRST = ("ID", "FINGERPRINT")
"""Registers that say what a board holds."""


class Streamed(Protocol):
    """What a transport must know of the design at its other end."""

    folder: Path
    next_set_depth: int

    @property
    def bus_bytes(self) -> int:
        """Bytes of a beat that is sent."""

    @property
    def registers(self) -> Mapping[str, Register]:
        """Registers by name."""


class Packet(NamedTuple):
    """A sequence on its way to the engine, or an image on its way to the network.

    Parameters
    ----------
    user : int
        Its parameter set; 0 for an image.
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
        Whether the engine or the network found the packet bad.
    data : bytes
        Whole beats; one of zeros for a bad packet.
    """

    error: bool
    data: bytes


class Transport(ABC):
    """Registers and packets of one engine or network.

    Offsets are those of its registers. Every method raises `DeviceError`.

    Members
    -------
    design : Streamed
        What is at the other end; `Device` or `NetworkDevice` sets it.
    """

    design: Streamed

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
        """Bring the design to where a new host can begin: no packet is in flight afterwards.

        Over a board's link flags, counters and parameters are lost, too.
        """

    @abstractmethod
    def close(self) -> None:
        """Give back what the transport holds; it must not be used afterwards."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def good_answers(
    answers: Iterable[Answer],
    size: Callable[[int], int],
    failure: Callable[[int], DeviceError],
) -> Iterator[bytes]:
    """Yield the data of answers up to the first bad one.

    The answers after that are taken and dropped, so that the next call starts afresh.

    Parameters
    ----------
    answers : iterable of Answer
    size : function of int
        Bytes of the answer to a packet, by its number in the call.
    failure : function of int
        What is raised at the end, by the number of the first bad answer.
    """
    failed = None
    for number, answer in enumerate(answers):
        if failed is None and (answer.error or len(answer.data) != size(number)):
            failed = number
        if failed is None:
            yield answer.data
    if failed is not None:
        raise failure(failed)


def recognise(transport: Transport, design: Streamed) -> None:
    """Refuse whatever is not ``design`` at the other end (DeviceError)."""
    wanted = [design.registers[name] for name in FIRST]
    for register, value in zip(wanted, transport.read([one.offset for one in wanted])):
        if value != register.reset:
            raise DeviceError(
                f"device: register {register.name} is 0x{value:08x}, not "
                f"0x{register.reset:08x}; load the bitstream of {design.folder}"
            )
