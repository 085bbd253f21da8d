# SPDX-License-Identifier: Apache-2.0
"""Signals that end a command, as exceptions that unwind it."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from functools import partial

__all__ = ["Ended", "signals_as_exceptions"]

AGAIN_SECONDS = 0.05
"""After which a signal that was swallowed is sent again."""


class Ended(BaseException):
    """A signal asks this process to end.

    Parameters
    ----------
    number : int
        Of the signal.
    """

    def __init__(self, number: int):
        self.number = number


@contextlib.contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """Let SIGTERM and SIGHUP unwind the block, as SIGINT does, so that nothing is left behind.

    Python drops what is raised in a finaliser or a callback of a library. A signal that arrives
    there is sent again.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) == signal.SIG_DFL]
    for number in numbers:  # one that is ignored, as with nohup, stays so
        signal.signal(number, _end)
    before = sys.unraisablehook
    sys.unraisablehook = partial(_send_again, others=before)
    try:
        yield
    finally:
        sys.unraisablehook = before
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def _end(number, _):
    raise Ended(number)


def _send_again(dropped, others):
    """Hook for exceptions that nothing can catch; ``others`` are left to the hook before it."""
    end = dropped.exc_value
    if isinstance(end, KeyboardInterrupt):
        end = Ended(signal.SIGINT)
    if not isinstance(end, Ended):
        others(dropped)
        return
    timer = threading.Timer(AGAIN_SECONDS, os.kill, (os.getpid(), end.number))
    timer.daemon = True
    timer.start()
