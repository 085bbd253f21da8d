# SPDX-License-Identifier: Apache-2.0
"""Writing files and folders: whole or not at all, and never over somebody else's."""

import contextlib
import fcntl
import hashlib
import io
import json
import math
import os
import re
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

__all__ = [
    "UNBUILDABLE", "cache_folder", "checksum", "is_special", "move_atomic", "rendered",
    "write_atomic", "write_json",
]

PARTIAL = ".ecoformer-partial"
"""End of the names of files that are being written."""
MOST_LINKS = 40
"""Symbolic links that are followed, as many as Linux does."""
UNBUILDABLE = re.compile(r"[^\w/.,:@%+=~-]")
"""Characters in a path with which make or Verilator's makefiles do not build."""


def write_atomic(path: str | os.PathLike, content: bytes | str, *, mode: int = 0o666) -> None:
    """Write ``content`` so that ``path`` holds either the old file or the new one, never half.

    A symbolic link stays a link: its target is replaced. What is special is written to.

    Parameters
    ----------
    path : path
    content : bytes or str
        Text is written as UTF-8.
    mode : int
        Permissions of a new file, before the process's umask.

    Raises
    ------
    OSError
        Nothing was changed, and nothing is left behind.
    """
    data = content.encode() if isinstance(content, str) else content
    if is_special(path):
        try:
            with _opened(path) as file:
                file.write(data)
        except OSError as error:
            error.filename = error.filename or str(path)
            raise
        return
    path = Path(os.path.realpath(path))
    _sweep(path)
    handle, partial = tempfile.mkstemp(prefix=f".{path.name}.", suffix=PARTIAL, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # as long as this process lives
            file.write(data)
            file.flush()
            os.chmod(partial, mode & ~_umask())
            os.replace(partial, path)
    except BaseException as error:
        os.unlink(partial)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # a full disk does not say which file
        raise


def is_special(path: str | os.PathLike) -> bool:
    """Whether ``path`` is written to and never replaced: a device, a pipe, an open descriptor."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False  # no file yet
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) or _descriptor(path) is not None


def _descriptor(path):
    """The descriptor of this process that ``path`` stands for, such as ``/dev/stdout``, or None."""
    path, ours = Path(path), f"/proc/{os.getpid()}/fd"
    for _ in range(MOST_LINKS):
        folder = os.path.realpath(path.parent)
        if folder == ours and path.name.isdecimal():
            return int(path.name)
        if not path.is_symlink():
            break
        path = Path(folder, os.readlink(path))
    return None


def _opened(path):
    """What is special, to be written to: a descriptor where it is, so that nothing is lost."""
    number = _descriptor(path)
    if number is None:
        return open(path, "wb")
    for stream in filter(None, (sys.stdout, sys.stderr)):
        stream.flush()  # what was printed before it stands before it
    return open(os.dup(number), "wb")


def _sweep(path):
    """Remove what killed processes have left of ``path``: partial files that nobody holds."""
    start = f".{path.name}."
    with contextlib.suppress(OSError):
        for left in os.listdir(path.parent):
            if left.startswith(start) and left.endswith(PARTIAL):
                _remove_dead(path.parent / left)


def _remove_dead(left):
    with contextlib.suppress(OSError), open(left, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if time.time() - os.fstat(file.fileno()).st_mtime > 1:  # or its owner is about to lock it
            os.unlink(left)


def write_json(path: str | os.PathLike, figures: object) -> None:
    """Write ``figures`` as indented JSON, atomically; what is not finite is null, as JSON wants."""
    write_atomic(path, json.dumps(_finite(figures), indent=2, allow_nan=False) + "\n")


def move_atomic(source: str | os.PathLike, path: str | os.PathLike) -> None:
    """Move the large file ``source`` to ``path``, which holds all of it or what it held before.

    What is special is written to.
    """
    if is_special(path):
        with open(source, "rb") as whole, _opened(path) as file:
            shutil.copyfileobj(whole, file, 1 << 20)
        os.unlink(source)
        return
    path = Path(os.path.realpath(path))
    _sweep(path)
    handle, partial = tempfile.mkstemp(prefix=f".{path.name}.", suffix=PARTIAL, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file, open(source, "rb") as whole:
            fcntl.flock(file, fcntl.LOCK_EX)
            shutil.copyfileobj(whole, file, 1 << 20)
            os.chmod(partial, 0o666 & ~_umask())
            os.replace(partial, path)
    except BaseException:
        os.unlink(partial)
        raise
    os.unlink(source)


def _finite(value):
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def rendered(render: Callable[[io.BytesIO], object]) -> bytes:
    """The bytes that ``render`` writes to a binary file."""
    buffer = io.BytesIO()
    render(buffer)
    return buffer.getvalue()


def checksum(path: str | os.PathLike) -> str:
    """SHA-256 of the file at ``path``, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cache_folder(name: str) -> Path:
    """Folder for what can be made again, by the rules of XDG; created if need be.

    It is in the folder for temporary files if there is no home that can be written to, or if its
    path has characters with which make does not build.
    """
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = Path(home, "ecoformer", name)
    if folder.is_absolute() and not UNBUILDABLE.search(str(folder)):
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            if os.access(folder, os.W_OK):
                return folder
    folder = Path(tempfile.gettempdir(), f"ecoformer-{os.getuid()}", name)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
