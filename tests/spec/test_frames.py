# SPDX-License-Identifier: Apache-2.0
import ast
import inspect
import sys
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecoformer.spec import frames
from ecoformer.spec.frames import (
    ESCAPE,
    FLIP,
    MAGIC,
    Chunk,
    Fault,
    Flag,
    Frame,
    FrameReader,
    Kind,
    LinkRegister,
    encode,
)

GOOD = Frame(Kind.WRITE, 7, bytes((MAGIC, ESCAPE, 0x20, 0, 255)))
SOME = st.builds(Frame, st.integers(0, 255), st.integers(0, 255), st.binary(max_size=40))


def read(data, pieces=1):
    """Frames and faults of bytes that come in pieces."""
    reader, found = FrameReader(), []
    size = -(-len(data) // pieces) or 1
    for start in range(0, len(data), size):
        found += reader.feed(data[start : start + size])
    return found, reader.faults


@given(st.lists(SOME, max_size=5), st.integers(1, 9))
def test_frames_come_back(sent, pieces):
    assert read(b"".join(map(encode, sent)), pieces) == (sent, {})


def test_the_bytes_of_a_frame():
    body = bytes((Kind.READ, 3, 4, 0, 0x18, 0, 0, 0))
    check = zlib.crc32(body).to_bytes(4, "little")
    assert not {MAGIC, ESCAPE} & {*check}
    assert encode(Frame(Kind.READ, 3, bytes((0x18, 0, 0, 0)))) == bytes((MAGIC,)) + body + check
    assert bytes((ESCAPE, 0x5E, ESCAPE, 0x5D)) in encode(GOOD)
    assert encode(GOOD).count(MAGIC) == 1


@given(st.binary(max_size=200), SOME)
def test_the_next_frame_is_found_after_anything(garbage, frame):
    found, _ = read(garbage + encode(frame))
    assert found[-1] == frame


@given(SOME, st.data())
def test_a_damaged_frame_is_lost_alone_and_reported(frame, data):
    raw = bytearray(encode(frame))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= 1 << data.draw(st.integers(0, 7))
    found, faults = read(bytes(raw) + encode(GOOD))
    assert found[-1] == GOOD and frame not in found[:-1]
    assert faults


@given(SOME, st.data())
def test_a_cut_frame_is_lost_alone_and_reported(frame, data):
    raw = encode(frame)
    left = raw[: data.draw(st.integers(2, len(raw) - 1))]
    assert read(left + encode(GOOD)) == ([GOOD], {Fault.CUT: 1}) or left[-1] == ESCAPE


def test_a_long_frame_is_as_long_as_both_bytes_of_its_length_say():
    frame = Frame(Kind.PACKET_IN, 1, bytes(300))
    raw = encode(frame)
    assert read(raw, 7) == ([frame], {})
    for left in (60, 200, len(raw) - 1):
        assert read(raw[:left] + encode(GOOD)) == ([GOOD], {Fault.CUT: 1})


def test_garbage_is_reported_once_until_the_next_frame():
    assert read(b"abc" + encode(GOOD) + b"d" + encode(GOOD)) == ([GOOD, GOOD], {Fault.GARBAGE: 2})
    assert read(bytes((MAGIC,)) * 5 + encode(GOOD)) == ([GOOD], {})


def test_a_payload_must_fit_its_length():
    with pytest.raises(ValueError, match=r"^payload must be at most 65535 bytes, not 65536$"):
        encode(Frame(Kind.WRITE, 0, bytes(65_536)))


def test_chunks():
    chunk = Chunk(5, Flag.LAST | Flag.ERROR, b"\x01\x02")
    assert chunk.payload() == bytes((5, 0, 0, 0, 3, 0, 0, 0, 1, 2))
    assert Chunk.of(chunk.payload()) == chunk
    reserved = bytearray(chunk.payload())
    reserved[6:8] = b"\xff\xff"
    assert Chunk.of(bytes(reserved)) == chunk


def test_numbers_are_those_of_the_page():
    page = Path("docs/host-link.md").read_text(encoding="utf-8")
    for name in (*Kind, *Fault):
        assert f"\n| {name:d} {name.name} | " in page
    for register in LinkRegister:
        assert f"\n| {register:04X} | {register.name} | " in page
    for number in (MAGIC, ESCAPE, FLIP):
        assert f"`{number:02X}`" in page
    assert f"| `{frames.LINK_IDENTITY:08X}`, the letters ELNK |" in page
    assert f"| VERSION | {frames.LINK_VERSION} |" in page
    assert (frames.OVERHEAD, frames.CODE_BYTES, frames.CHUNK_HEADER) == (8, 4, 8)
    assert (int(Flag.LAST), int(Flag.ERROR)) == (1, 2), "bits 0 and 1 of flags"


def test_the_boards_registers_are_beyond_the_engines():
    assert min(LinkRegister) == frames.LINK_BASE >= 1 << 8


def test_the_definition_needs_the_standard_library_only():
    modules = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(inspect.getsource(frames)))
        for name in ([a.name for a in node.names] if isinstance(node, ast.Import)
                     else [node.module] if isinstance(node, ast.ImportFrom) else [])
    }
    assert modules <= sys.stdlib_module_names
