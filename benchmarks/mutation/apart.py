# SPDX-License-Identifier: Apache-2.0
"""Work in a process of its own: what it breaks, or loads, is gone with it."""

import os
import select
import signal
from collections.abc import Callable, Iterable

__all__ = ["apart"]


def apart(work: Callable[[], str], seconds: float) -> str:
    """What ``work`` returns in a process of its own, or how that ended."""
    reads, writes = os.pipe()
    process = os.fork()
    if not process:
        try:
            answer = work()
        except BaseException as error:
            answer = f"{type(error).__name__}: {error}"
        with open(writes, "wb") as answers:
            answers.write(answer.encode())
        os._exit(0)
    os.close(writes)
    try:
        if not select.select([reads], [], [], seconds)[0]:
            os.kill(process, signal.SIGKILL)
            return f"no end after {seconds:.0f} s"
        answer = b"".join(_chunks(reads)).decode(errors="replace")
    finally:
        os.close(reads)
        status = os.waitpid(process, 0)[1]
    return answer or f"ended with status {status}"


def _chunks(reads) -> Iterable[bytes]:
    while chunk := os.read(reads, 4096):
        yield chunk
