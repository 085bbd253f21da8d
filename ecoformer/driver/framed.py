# SPDX-License-Identifier: Apache-2.0
"""Registers and packets in frames over a byte link, such as a serial port.

A request is repeated until its answer has come. The board carries it out once only, because it
knows a repetition by its tag and CRC.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Protocol

from ecoformer.driver.errors import LinkError, RefusedError
from ecoformer.driver.transport import Answer, Packet, Transport
from ecoformer.spec.frames import (
    CHUNK_HEADER,
    CODE_BYTES,
    LINK_IDENTITY,
    LINK_VERSION,
    Chunk,
    Fault,
    Flag,
    Frame,
    FrameReader,
    Kind,
    LinkRegister,
    encode,
)

__all__ = ["FramedTransport", "Link"]

LEAST_FRAME = 64
"""Payload that every board takes; only until it has said how much it takes."""
READ_BYTES = 4096


class Link(Protocol):
    """Bytes there and back."""

    settle: float
    """Seconds of silence after which nothing more is to be expected."""

    def write(self, data: bytes) -> None:
        """Send bytes; returns when they are on their way."""

    def read(self, most: int, timeout: float) -> bytes:
        """Bytes that have come, at most ``most``; waits for the first, ``timeout`` seconds."""

    def time(self) -> float:
        """Seconds since any moment."""

    def close(self) -> None:
        """Give the link back."""


class FramedTransport(Transport):
    """An engine or a network behind a byte link.

    Parameters
    ----------
    link : Link
    timeout : float
        Seconds of silence after which a request is repeated.
    attempts : int
        Times that it is sent before the board counts as dead.
    patience : float
        Seconds in which a design that has work must take or give something.

    Members
    -------
    faults : Counter
        Frames that were lost, by `Fault`, as either side has noticed them.
    repeats : int
        Requests that were sent again.
    frame_bytes, clock_hz, baud : int
        What the board says of itself.
    """

    def __init__(
        self, link: Link, *, timeout: float = 0.25, attempts: int = 20, patience: float = 10.0
    ):
        self.link, self.timeout, self.attempts = link, timeout, attempts
        self.patience = patience
        self.faults: Counter[Fault] = Counter()
        self.repeats = 0
        self.frame_bytes = LEAST_FRAME
        self._reader, self._tag = FrameReader(), -1
        # The first request has the tag 0 and reads constants: whatever the board did last for
        # another host, it answers this one right.
        about = (
            LinkRegister.LINK_ID, LinkRegister.VERSION, LinkRegister.FRAME_BYTES,
            LinkRegister.CLOCK_HZ, LinkRegister.BAUD,
        )
        identity, version, self.frame_bytes, self.clock_hz, self.baud = self.read(about)
        if (identity, version) != (LINK_IDENTITY, LINK_VERSION):
            raise LinkError(
                f"board: speaks protocol 0x{identity:08x} version {version}, not "
                f"0x{LINK_IDENTITY:08x} version {LINK_VERSION}; use the driver of its design"
            )

    def read(self, offsets: Sequence[int]) -> list[int]:
        values: list[int] = []
        for some in _parts(offsets, self.frame_bytes // 4):
            payload = b"".join(offset.to_bytes(4, "little") for offset in some)
            answer = self._ask(Kind.READ, payload, some)
            values += (
                int.from_bytes(answer.payload[i : i + 4], "little")
                for i in range(0, len(answer.payload), 4)
            )
        return values

    def write(self, writes: Sequence[tuple[int, int]]) -> None:
        for some in _parts(writes, self.frame_bytes // 8):
            payload = b"".join(
                offset.to_bytes(4, "little") + data.to_bytes(4, "little") for offset, data in some
            )
            self._ask(Kind.WRITE, payload, [offset for offset, _ in some])

    def exchange(self, packets: Iterable[Packet]) -> Iterator[Answer]:
        flight, selected, registers = _Flight(), None, self.design.registers
        depth = self.design.next_set_depth
        for packet in packets:
            if depth:  # a packet that is answered has taken its set
                yield from self._drain(flight, lambda: flight.owed >= depth)
                self.write([(registers["NEXT_SET"].offset, packet.user)])
            elif "NEXT_SET" in registers and packet.user != selected:
                # It must not change before the packets that are on their way have begun.
                yield from self._drain(flight, flight.is_owed)
                selected = packet.user
                self.write([(registers["NEXT_SET"].offset, selected)])
            flight.owed += 1
            for chunk in self._chunks(packet):
                yield from self._drain(flight, partial(self._is_refused, chunk))
        yield from self._drain(flight, flight.is_owed)

    def reset(self) -> None:
        self.write([(LinkRegister.RESET, 1)])

    def close(self) -> None:
        self.link.close()

    def _chunks(self, packet):
        """The packet in pieces of whole beats."""
        beat = self.design.bus_bytes
        size = (self.frame_bytes - CHUNK_HEADER) // beat * beat
        for start in range(0, len(packet.data), size):
            last = start + size >= len(packet.data)
            data = packet.data[start : start + size]
            yield Chunk(packet.user, Flag.LAST if last else Flag(0), data)

    def _is_refused(self, chunk):
        """Send a chunk; whether the board has no room for it yet."""
        return self._ask(Kind.PACKET_IN, chunk.payload()).kind == Kind.ERROR

    def _drain(self, flight, goes_on):
        """Fetch results while ``goes_on()``, and yield the answers that they complete.

        Raises `LinkError` if nothing moves for too long.
        """
        moved = self.link.time()
        while goes_on():
            found = self._fetch(flight.gathered)
            now = self.link.time()
            if found is not False:
                moved = now
            elif now - moved > self.patience:
                raise LinkError(
                    f"board: its design neither takes a packet nor answers one for "
                    f"{self.patience:g} s; reset it"
                )
            if found:
                flight.owed -= 1
                yield found

    def _fetch(self, gathered):
        """Results that are there: the answer that they complete, if any; False if none are."""
        payload = self._ask(Kind.PACKET_OUT).payload
        if not payload:
            return False
        chunk = Chunk.of(payload)
        gathered += chunk.data
        if not chunk.flags & Flag.LAST:
            return None
        answer = Answer(bool(chunk.flags & Flag.ERROR), bytes(gathered))
        gathered.clear()
        return answer

    def _ask(self, kind, payload=b"", offsets=()):
        """The answer to a request, which is repeated until it comes."""
        self._tag = (self._tag + 1) % 256
        request = encode(Frame(kind, self._tag, payload))
        for attempt in range(self.attempts):
            self.repeats += attempt > 0
            self.link.write(request)
            answer = self._await(self._tag)
            if answer is not None:
                return self._checked(answer, kind, offsets)
        raise LinkError(
            f"board: no answer to {self.attempts} requests; check cable, port, baud rate and that "
            "its bitstream is loaded"
        )

    def _await(self, tag):
        """The answer with this tag, or None if it does not come."""
        timeout = self.timeout
        while data := self.link.read(READ_BYTES, timeout):
            frames = list(self._reader.feed(data))
            if self._reader.faults:
                self.faults.update(self._reader.faults)
                self._reader.faults.clear()
                timeout = self.link.settle
            for frame in frames:
                fault = _fault(frame)
                if fault is not None and fault < Fault.KIND:
                    self.faults[fault] += 1
                    timeout = self.link.settle  # the request or another frame was lost
                elif frame.tag == tag:
                    return frame
        return None

    def _checked(self, answer, kind, offsets):
        """The answer, unless it is an error that nobody awaits."""
        if answer.kind == kind:
            return answer
        fault = _fault(answer)
        if fault is Fault.BUSY and kind is Kind.PACKET_IN:
            return answer
        if fault is Fault.REFUSED:
            raise RefusedError(offsets[int.from_bytes(answer.payload[2:4], "little")])
        raise LinkError(
            f"board: answers {kind.name} with {answer.payload.hex(' ')}; use the driver of its "
            "design"
        )


class _Flight:
    """Packets that are not answered yet, and what has come of the next answer."""

    def __init__(self):
        self.owed, self.gathered = 0, bytearray()

    def is_owed(self):
        return self.owed > 0


def _fault(frame):
    """What an ERROR frame reports; None if it is another frame, or reports what is not known."""
    if frame.kind != Kind.ERROR or len(frame.payload) < CODE_BYTES:
        return None
    try:
        return Fault(int.from_bytes(frame.payload[:2], "little"))
    except ValueError:
        return None


def _parts(items, size):
    return (items[start : start + size] for start in range(0, len(items), size))
