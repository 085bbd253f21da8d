# SPDX-License-Identifier: Apache-2.0
"""Writing files and folders: whole or not at all, and never over somebody else's."""

import contextlib
import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from ecoformer.errors import EcoformerError

__all__ = ["write_atomic", "write_json", "rendered", "checksum", "staged", "refuse_foreign"]


def write_atomic(path: str | os.PathLike, content: bytes | str, *, mode: int = 0o666) -> None:
    """Write ``content`` so that ``path`` holds either the old file or the new one, never half.

    A symbolic link stays a link: its target is replaced. A device or a pipe is written to.

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
    path = Path(os.path.realpath(path))
    data = content.encode() if isinstance(content, str) else content
    if path.exists() and not path.is_file():  # a folder raises here
        path.write_bytes(data)
        return
    handle, partial = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(partial, mode & ~_umask())
        os.replace(partial, path)
    except BaseException:
        os.unlink(partial)
        raise


def write_json(path: str | os.PathLike, figures: object) -> None:
    """Write ``figures`` as indented JSON, atomically."""
    write_atomic(path, json.dumps(figures, indent=2) + "\n")


def rendered(render: Callable[[io.BytesIO], object]) -> bytes:
    """The bytes that ``render`` writes to a binary file."""
    buffer = io.BytesIO()
    render(buffer)
    return buffer.getvalue()


def checksum(path: str | os.PathLike) -> str:
    """SHA-256 of the file at ``path``, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def staged(output: str | os.PathLike, mark: str) -> Iterator[Path]:
    """Yield a folder that becomes ``output`` if the block succeeds and vanishes if it fails.

    Parameters
    ----------
    output : path
        Replaced if it holds the file ``mark``, that is, if an earlier run wrote it.
    mark : str
        Name of a file that every result of its kind holds.

    Raises
    ------
    EcoformerError
        ``output`` holds something else.
    """
    output = Path(output).absolute()
    refuse_foreign(output, mark)
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{output.name}-", dir=output.parent))
    try:
        os.chmod(partial, 0o777 & ~_umask())
        yield partial
        old = partial.with_name(partial.name + "-old")
        if output.exists():
            output.rename(old)
        partial.rename(output)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def refuse_foreign(output: Path, *marks: str) -> None:
    """Refuse to write into ``output`` if it is neither empty nor holds one of ``marks``."""
    known = any((output / mark).exists() for mark in marks)
    if output.exists() and not known and (not output.is_dir() or any(output.iterdir())):
        raise EcoformerError(
            f"{output}: exists and was not written by this command; choose another -o"
        )


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
