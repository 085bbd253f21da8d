"""How files are written: whole or not at all, and never anything else in their place."""

import io
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

__all__ = ["write_atomic", "write_json", "rendered"]


def write_atomic(path: str | os.PathLike, content: bytes | str, *, mode: int = 0o666) -> None:
    """Write ``content`` so that ``path`` holds the old file or the new one, never half.

    A symbolic link stays one: the file it points to is replaced. A device or a pipe is written to.

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
        Nothing has changed then, and nothing is left behind.
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
    """Bytes that ``render`` writes to the binary file it is given."""
    buffer = io.BytesIO()
    render(buffer)
    return buffer.getvalue()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
