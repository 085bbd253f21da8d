# SPDX-License-Identifier: Apache-2.0
"""A host written from docs/host-link.md alone: plain Python, nothing of ecoformer.

``line`` is anything with ``send(bytes)`` and ``receive() -> bytes``, empty after some silence.
"""

import binascii

WRITE, READ, PACKET_IN, PACKET_OUT, ERROR = range(1, 6)
REFUSED, BUSY = 18, 19
LINK_ID, FRAME_BYTES, RESET = 0x8000, 0x8008, 0x801C


def number(raw):
    return int.from_bytes(raw, "little")


def frame(kind, tag, payload):
    body = bytes([kind, tag]) + len(payload).to_bytes(2, "little") + payload
    body += binascii.crc32(body).to_bytes(4, "little")
    return b"\x7e" + b"".join(
        bytes([0x7D, byte ^ 0x20]) if byte in (0x7E, 0x7D) else bytes([byte]) for byte in body
    )


def frames(raw):
    """Good frames among the bytes ``raw``: (kind, tag, payload)."""
    for part in raw.split(b"\x7e")[1:]:
        first, *escaped = part.split(b"\x7d")
        body = first + b"".join(bytes([piece[0] ^ 0x20]) + piece[1:] for piece in escaped if piece)
        size = number(body[2:4]) + 8
        if len(body) >= size and binascii.crc32(body[: size - 4]) == number(body[size - 4 : size]):
            yield body[0], body[1], body[4 : size - 4]


class Host:
    def __init__(self, line):
        self.line, self.tag = line, -1
        assert self.read(LINK_ID) == int.from_bytes(b"ELNK", "big")
        self.frame_bytes = self.read(FRAME_BYTES)

    def ask(self, kind, payload=b""):
        """Payload of the answer, or the number of its fault."""
        self.tag = (self.tag + 1) % 256
        for _ in range(10):
            self.line.send(frame(kind, self.tag, payload))
            raw = b""
            while more := self.line.receive():
                raw += more
            for answer, tag, content in frames(raw):
                fault = number(content[:2]) if answer == ERROR else None
                if tag == self.tag and (fault is None or fault >= 16):
                    return content if fault is None else fault
        raise TimeoutError("no answer")

    def read(self, offset):
        answer = self.ask(READ, offset.to_bytes(4, "little"))
        return answer if isinstance(answer, int) else number(answer)

    def write(self, offset, data):
        answer = self.ask(WRITE, offset.to_bytes(4, "little") + data.to_bytes(4, "little"))
        assert answer == b"", answer

    def attend(self, user, beats, bus_bytes):
        """Error bit and bytes of the answer to a packet of whole beats."""
        size = (self.frame_bytes - 8) // bus_bytes * bus_bytes
        answer = [0, b"", False]
        for start in range(0, len(beats), size):
            last = start + size >= len(beats)
            header = user.to_bytes(4, "little") + bytes([last, 0, 0, 0])
            chunk = header + beats[start : start + size]
            while (got := self.ask(PACKET_IN, chunk)) == BUSY:
                self.fetch(answer)
            assert got == b"", got
        while not answer[2]:
            self.fetch(answer)
        return answer[0], answer[1]

    def fetch(self, answer):
        chunk = self.ask(PACKET_OUT)
        if chunk:
            answer[0] = number(chunk[4:6]) >> 1 & 1
            answer[1] += chunk[8:]
            answer[2] = bool(number(chunk[4:6]) & 1)
