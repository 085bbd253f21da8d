# SPDX-License-Identifier: Apache-2.0
"""The progress of long work: dropped, shown as a bar on a terminal, or written as lines to a log.

Whatever takes long has a parameter ``progress``, which is :data:`SILENT` by default; the command
line passes what :func:`show_progress` gives.
"""

from __future__ import annotations

import sys
import time
from threading import Lock
from typing import Self, TextIO

from rich import progress as bars
from rich.console import Console
from rich.table import Column

__all__ = ["BarProgress", "LineProgress", "Progress", "SILENT", "show_progress"]

LOG_SECONDS = 5
"""Least seconds between two lines on one stage; more where the stage is long."""


class Progress:
    """Receives the progress of long work and drops it; the base of the classes that show it.

    Used as a context manager around the work, and called from any of its threads.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def update(self, stage: str, done: float, total: float) -> None:
        """``done`` of ``total`` units of ``stage`` are finished; stages may run side by side.

        A stage begins with its first update, and again when ``done`` falls.
        """

    def line(self, text: str) -> None:
        """Report one line worth keeping."""


SILENT = Progress()
"""Drops everything."""


class LineProgress(Progress):
    """Plain lines for a log: every line reported, and each stage from time to time.

    Parameters
    ----------
    stream : text file or None
        Standard error when None.
    """

    def __init__(self, stream: TextIO | None = None):
        self.stream = stream or sys.stderr
        self._stages: dict[str, _Stage] = {}
        self._lock = Lock()

    def update(self, stage: str, done: float, total: float) -> None:
        now = time.monotonic()
        with self._lock:
            known = self._stages.get(stage)
            if known is None or done < known.done:
                known = self._stages[stage] = _Stage(now)
            text = known.report(done, total, now)
            if text is not None:
                self._write(f"{stage}: {text}")

    def line(self, text: str) -> None:
        with self._lock:
            self._write(text)

    def _write(self, text):
        self.stream.write(text + "\n")
        self.stream.flush()


class _Stage:
    """When a stage began and when it was last written."""

    def __init__(self, begun):
        self.begun = begun
        self.written = None
        self.done = -1

    def report(self, done, total, now):
        """Text of a line, or None if it is too early for another one."""
        elapsed = now - self.begun
        finished = done >= total > self.done
        waited = self.written is None or now - self.written > max(LOG_SECONDS, elapsed / 10)
        self.done = done
        if not (finished or waited and done < total):
            return None
        self.written = now
        return _count(done, total, " of ") + (f", {elapsed:.0f} s" if elapsed >= 1 else "")


class BarProgress(Progress):
    """A bar for every stage below the reported lines, for a terminal.

    Parameters
    ----------
    stream : text file or None
        Standard error when None.
    """

    def __init__(self, stream: TextIO | None = None):
        self._bars = bars.Progress(
            # On a narrow terminal names fold and bars shrink; numbers stay whole.
            bars.TextColumn("{task.description}", table_column=Column(overflow="fold")),
            bars.BarColumn(),
            bars.TextColumn("{task.fields[count]}"),
            bars.TimeRemainingColumn(elapsed_when_finished=True),
            console=Console(file=stream or sys.stderr),
            transient=True,
        )
        self._tasks: dict[str, bars.TaskID] = {}
        self._done: dict[str, float] = {}
        self._lock = Lock()

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    def update(self, stage: str, done: float, total: float) -> None:
        with self._lock:
            if stage not in self._tasks:
                self._tasks[stage] = self._bars.add_task(stage, total=total, count="")
            elif done < self._done[stage]:
                self._bars.reset(self._tasks[stage])
            self._done[stage] = done
            count = _count(done, total, "/")
            self._bars.update(self._tasks[stage], completed=done, total=total, count=count)

    def line(self, text: str) -> None:
        self._bars.console.print(text, highlight=False, markup=False, soft_wrap=True)


def show_progress(stream: TextIO | None = None) -> Progress:
    """Bars when ``stream`` (standard error when None) is a terminal, else lines."""
    stream = stream or sys.stderr
    return (BarProgress if stream.isatty() else LineProgress)(stream)


def _count(done, total, between):
    number = ",d" if isinstance(done, int) and isinstance(total, int) else ",.1f"
    return f"{done:{number}}{between}{total:{number}}"
