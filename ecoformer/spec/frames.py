# SPDX-License-Identifier: Apache-2.0
"""Frames of the host link: what a board and its driver send each other over any byte link.

The one definition for hardware and drivers. It imports nothing of this project, because the driver
takes it along into designs that have nothing else of it. ``docs/host-link.md`` is the same in
words.
"""

import enum
import zlib
from collections.abc import Iterator
from typing import NamedTuple

__all__ = [
    "CHUNK_HEADER", "CODE_BYTES", "DECODED_BYTES", "ESCAPE", "FLIP", "LINK_BASE", "LINK_IDENTITY",
    "LINK_VERSION", "MAGIC", "OVERHEAD", "Chunk", "Fault", "Flag", "Frame", "FrameReader", "Kind",
    "LinkRegister", "encode",
]

MAGIC = 0x7E
"""Begins a frame, and occurs nowhere else: whatever was lost, the next frame is found."""
ESCAPE, FLIP = 0x7D, 0x20
"""A byte of a frame that equals MAGIC or ESCAPE is sent as ESCAPE and the byte ^ FLIP."""
OVERHEAD = 8
"""Bytes of a frame beside MAGIC and payload: kind, tag, length (2) and CRC-32 (4)."""
DECODED_BYTES = 65_535
"""Longest payload that a length can name; a board takes FRAME_BYTES."""
CODE_BYTES = 4
"""Payload of an ERROR frame: fault (2), detail (2)."""


class Kind(enum.IntEnum):
    """What a request asks for. Its answer has the same kind, or ERROR."""

    WRITE = 1
    """Pairs of 32-bit words: register offset, data. The answer is empty."""
    READ = 2
    """32-bit register offsets. The answer holds a 32-bit word for each."""
    PACKET_IN = 3
    """A `Chunk` of a packet of tokens. The answer is empty."""
    PACKET_OUT = 4
    """Empty. The answer is a `Chunk` of a packet of results, or empty if there is none yet."""
    ERROR = 5
    """Only an answer: a `Fault` and its detail."""


class Fault(enum.IntEnum):
    """Why a frame had no effect. Below 16 it was not understood, and its tag is not known."""

    CHECK = 1
    """The CRC does not match. Detail of this and the next three: how many were met."""
    CUT = 2
    """Another frame began before the end of this one."""
    LENGTH = 3
    """Longer than FRAME_BYTES."""
    GARBAGE = 4
    """Bytes that belong to no frame."""
    KIND = 16
    """No such kind of request."""
    SIZE = 17
    """The payload does not suit the kind."""
    REFUSED = 18
    """A register answered SLVERR; the detail is its place in the request. Those before it are
    done, those after it are not."""
    BUSY = 19
    """The engine has not taken the last chunk yet: fetch results, then send this one again."""


class LinkRegister(enum.IntEnum):
    """Offsets of the board's own registers, beside those of the engine."""

    LINK_ID = 0x8000
    VERSION = 0x8004
    """Of this protocol."""
    FRAME_BYTES = 0x8008
    """Longest payload that the board takes and sends."""
    CLOCK_HZ = 0x800C
    BAUD = 0x8010
    """0 where the link has none."""
    GOOD = 0x8014
    """Frames that were understood, repeated ones included; wraps."""
    BAD = 0x8018
    """Faults below 16; wraps."""
    RESET = 0x801C
    """Written: resets the engine and what the board holds of packets. Reads 0."""


LINK_BASE = 0x8000
"""Registers from here on are the board's."""
LINK_IDENTITY = int.from_bytes(b"ELNK", "big")
LINK_VERSION = 1


class Flag(enum.IntFlag):
    """Of a chunk."""

    LAST = 1
    """It ends its packet."""
    ERROR = 2
    """The packet is the engine's answer to a bad one."""


CHUNK_HEADER = 8
"""Bytes of a chunk before its beats: user (4), flags (2), reserved (2)."""


class Chunk(NamedTuple):
    """Some whole beats of a packet, in order.

    Parameters
    ----------
    user : int
        ``tuser`` without the error bit: the parameter set.
    flags : Flag
    data : bytes
        Beats, byte 0 of each first.
    """

    user: int
    flags: Flag
    data: bytes

    def payload(self) -> bytes:
        """The payload of its frame."""
        return (
            self.user.to_bytes(4, "little") + int(self.flags).to_bytes(2, "little") + bytes(2)
            + self.data
        )

    @classmethod
    def of(cls, payload: bytes) -> "Chunk":
        """The chunk in the payload of a frame."""
        user, flags = (int.from_bytes(payload[a:b], "little") for a, b in ((0, 4), (4, 6)))
        return cls(user, Flag(flags), payload[CHUNK_HEADER:])


class Frame(NamedTuple):
    """What a frame says.

    Parameters
    ----------
    kind : int
    tag : int
        0…255; an answer has that of its request.
    payload : bytes
    """

    kind: int
    tag: int
    payload: bytes = b""


def encode(frame: Frame) -> bytes:
    """The bytes of a frame on the link."""
    kind, tag, payload = frame
    if len(payload) > DECODED_BYTES:
        raise ValueError(f"payload must be at most {DECODED_BYTES} bytes, not {len(payload)}")
    body = bytes((kind, tag)) + len(payload).to_bytes(2, "little") + payload
    body += zlib.crc32(body).to_bytes(4, "little")
    for byte in (ESCAPE, MAGIC):
        body = body.replace(bytes((byte,)), bytes((ESCAPE, byte ^ FLIP)))
    return bytes((MAGIC,)) + body


class FrameReader:
    """Finds frames in a stream of bytes, whatever else is in it.

    Members
    -------
    faults : dict of Fault to int
        What was met that is no good frame.
    """

    def __init__(self) -> None:
        self.faults: dict[Fault, int] = {}
        self._body: bytearray | None = None  # of the frame that is open
        self._escaped = self._reported = False

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames that ``data``, the next bytes of the stream, complete."""
        for byte in data:
            if byte == MAGIC:
                if self._body:  # a frame may be preceded by any number of MAGIC
                    self._count(Fault.CUT)
                self._body, self._escaped, self._reported = bytearray(), False, False
            elif self._body is None:
                if not self._reported:  # once until the next MAGIC
                    self._count(Fault.GARBAGE)
                    self._reported = True
            elif byte == ESCAPE and not self._escaped:
                self._escaped = True
            else:
                self._body.append(byte ^ FLIP if self._escaped else byte)
                self._escaped = False
                yield from self._finished(self._body)

    def _finished(self, body):
        """The frame, if ``body`` is the whole of one that is good."""
        if len(body) < OVERHEAD or len(body) < OVERHEAD + int.from_bytes(body[2:4], "little"):
            return
        self._body = None
        if zlib.crc32(body[:-4]) == int.from_bytes(body[-4:], "little"):
            yield Frame(body[0], body[1], bytes(body[4:-4]))
        else:
            self._count(Fault.CHECK)

    def _count(self, fault):
        self.faults[fault] = self.faults.get(fault, 0) + 1
