# SPDX-License-Identifier: Apache-2.0
"""Child processes that end with this one, however it ends, and scratch folders likewise."""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ecoformer import supervisor

__all__ = ["alone", "child", "scratch"]

RANDOM = 8
"""Characters that `tempfile` puts behind a prefix."""


@contextlib.contextmanager
def child(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen]:
    """Run ``command`` in the block; when the block is left it has ended, with all it has started.

    It ends as well if this process is killed, within a second.

    Parameters
    ----------
    command : sequence of str
    **options
        Of `subprocess.Popen`: ``cwd``, ``env``, ``stdin``, ``stdout``, ``stderr``.

    Yields
    ------
    Popen
        Its return code is that of the command, or 128 + n if signal n ended it.
    """
    reads, writes = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", supervisor.__file__, str(reads), *map(str, command)],
            pass_fds=[reads],
            start_new_session=True,  # a terminal's Ctrl-C reaches this process alone
            **options,
        )
    except BaseException:
        os.close(writes)
        raise
    finally:
        os.close(reads)
    try:
        yield process
    finally:
        os.close(writes)
        process.wait()


@contextlib.contextmanager
def scratch(parent: str | os.PathLike, prefix: str) -> Iterator[Path]:
    """A private folder in ``parent`` for the block; what killed processes left is removed, too.

    The folder is locked as long as its owner lives, so a folder without a lock has none.
    """
    parent = Path(parent)
    parent.mkdir(parents=True, exist_ok=True)
    prefix = f"ecoformer-{prefix}"  # nobody else's: the folder may be the user's own
    for left in parent.glob(f"{prefix}{'?' * RANDOM}"):
        with contextlib.suppress(OSError), _locked(left):
            shutil.rmtree(left)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        with _locked(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def alone(folder: str | os.PathLike) -> Iterator[None]:
    """Let one process at a time into the block, of all that name the same ``folder``."""
    with _locked(folder, fcntl.LOCK_EX):
        yield


@contextlib.contextmanager
def _locked(folder, how=fcntl.LOCK_EX | fcntl.LOCK_NB):
    """Hold the lock of ``folder`` itself; OSError if another process does, or wait for that."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, how)
        yield
    finally:
        os.close(handle)
