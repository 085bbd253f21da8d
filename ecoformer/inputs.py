# SPDX-License-Identifier: Apache-2.0
"""Reading files: only whole ones, and no more of them than their kind may hold.

Whatever the product reads from a user comes through here. Sizes are looked at before memory is
taken, files that the product wrote end in a seal over their content, and numbers are finite.
"""

import hashlib
import io
import json
import math
import os
import stat
import zipfile
import zlib
from collections.abc import Iterable
from typing import IO, Any

import numpy as np

from ecoformer.errors import first_line

__all__ = [
    "LARGEST", "LARGEST_TEXT", "SEAL_BYTES", "parse_json", "read_arrays", "read_bytes", "read_text",
    "sealed", "unsealed",
]

LARGEST = 1 << 30
"""Most bytes of a file, and of the arrays in it."""
LARGEST_TEXT = 1 << 16
"""Most bytes of a text that is parsed; parsers take long over what nobody writes."""

MARK = b"ecoformer sha256"
SEAL_BYTES = len(MARK) + hashlib.sha256().digest_size
NUMBERS = "biuf"
"""Kinds of numpy types that arrays may have: nothing that is code, text or a structure."""


def read_bytes(path: str | os.PathLike, largest: int = LARGEST) -> bytes:
    """Content of the regular file at ``path``.

    Raises
    ------
    OSError
        It cannot be read.
    ValueError
        Not a regular file, or more than ``largest`` bytes; none of them has been read.
    """
    with open(path, "rb", opener=_without_waiting) as file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise ValueError("not a regular file")
        if facts.st_size > largest:
            raise ValueError(f"{facts.st_size:,} bytes, more than {largest:,}")
        return file.read(facts.st_size)


def read_text(path: str | os.PathLike, largest: int = LARGEST_TEXT) -> str:
    """UTF-8 text, whatever the locale, with or without a byte order mark; errors as above."""
    return read_bytes(path, largest).decode("utf-8-sig")


def parse_json(text: str | bytes) -> Any:
    """JSON with finite numbers, and every key once.

    Raises
    ------
    ValueError
        Anything else.
    """
    try:
        return json.loads(
            text, parse_constant=_finite, parse_float=_finite, object_pairs_hook=_object
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None


def sealed(content: bytes) -> bytes:
    """``content`` with a checksum behind it, which readers of archives skip."""
    return content + MARK + hashlib.sha256(content).digest()


def unsealed(data: bytes) -> bytes:
    """The content that :func:`sealed` was given; a ValueError if a single bit has changed."""
    content, seal = data[:-SEAL_BYTES], data[-SEAL_BYTES:]
    if not seal.startswith(MARK):
        raise ValueError("no checksum at its end: cut off, or written by something else")
    if hashlib.sha256(content).digest() != seal[len(MARK) :]:
        raise ValueError("checksum differs")
    return content


def read_arrays(path: str | os.PathLike, largest: int = LARGEST) -> dict[str, np.ndarray]:
    """The arrays of finite numbers in an ``.npz`` file, by name; a seal is checked if it has one.

    Parameters
    ----------
    path : path
    largest : int
        Most bytes of the file, and of all arrays together.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It is damaged, or no such file.
    """
    data = read_bytes(path, largest)
    if MARK in data[-SEAL_BYTES:]:
        data = unsealed(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = _members(archive, len(data), largest)
            return {name: _array(archive, member) for name, member in members.items()}
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError,
            UnicodeError, SyntaxError, OSError) as error:
        raise ValueError(f"not a whole .npz archive: {first_line(error)}") from error


def _members(archive, size, largest):
    """Members by the names of their arrays, after a check of what they say of themselves."""
    members, total = {}, 0
    first = min((member.header_offset for member in archive.infolist()), default=0)
    if archive.comment or first or archive.start_dir + _directory_size(archive) != size:
        raise ValueError("something before or behind the archive")
    for member in archive.infolist():
        name = member.filename.removesuffix(".npy")
        if name in members:
            raise ValueError(f"array {name} is there twice")
        if name == member.filename:
            raise ValueError(f"{name} is not an array")
        members[name] = member
        total += member.file_size
    if total > largest:
        raise ValueError(f"arrays of {total:,} bytes, more than {largest:,}")
    return members


def _directory_size(archive):
    """Bytes from the start of the central directory to the end of an archive without comment."""
    entries = (
        46 + len(member.orig_filename.encode()) + len(member.extra) + len(member.comment)
        for member in archive.infolist()
    )
    return sum(entries) + 22


def _array(archive, member):
    with archive.open(member) as file:
        shape, fortran, dtype = _header(file)
        if dtype.kind not in NUMBERS:
            raise ValueError(f"{member.filename} holds {dtype}, not numbers")
        header, size = file.tell(), dtype.itemsize * math.prod(shape)
        if any(side < 0 for side in shape) or header + size != member.file_size:
            raise ValueError(f"{member.filename} has not the bytes of its shape {shape}")
        array = np.frombuffer(file.read(), dtype).reshape(shape, order="F" if fortran else "C")
    if dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{member.filename} holds a number that is not finite")
    return array.astype(dtype.newbyteorder("="))  # a copy, which may be written to


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0,
    }
    version = np.lib.format.read_magic(file)
    if version not in readers:
        raise ValueError(f"array format {version}")
    return readers[version](file)


def _without_waiting(path, flags):
    return os.open(path, flags | os.O_NONBLOCK)  # a pipe without a writer would block


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a finite number")
    return number


def _object(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"key {key!r} is there twice")
        found[key] = value
    return found
