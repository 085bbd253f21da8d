# SPDX-License-Identifier: Apache-2.0
"""``python supervisor.py FD COMMAND…``: runs a command that ends with the process that owns FD.

``FD`` is the read end of a pipe. When its write end closes, because its owner wants so or has been
killed, the command and everything that it has started ends. Needs nothing but the standard library.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time

GRACE_SECONDS = 0.5
"""Between SIGTERM and SIGKILL."""
PR_SET_CHILD_SUBREAPER = 36
"""Linux: who is orphaned below this process becomes its child, so that it can wait for it."""


def main(pipe: int, command: list[str]) -> int:
    """Run ``command``; returns its exit status, 128 + n where signal n ended it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        child = subprocess.Popen(command, start_new_session=True)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return 127
    threading.Thread(target=_end_with, args=(pipe, child.pid), daemon=True).start()
    status = child.wait()
    _signal(child.pid, signal.SIGKILL)  # what it has started and left behind
    with contextlib.suppress(ChildProcessError):
        while True:  # a signal that is sent has not arrived yet
            os.waitpid(-child.pid, 0)
    return status if status >= 0 else 128 - status


def _end_with(pipe, group):
    os.read(pipe, 1)
    _signal(group, signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    _signal(group, signal.SIGKILL)


def _signal(group, number):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
