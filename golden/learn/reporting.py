"""What a long run tells while it works: nothing, plain lines, or a progress bar."""

import sys

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

__all__ = ["Reporter", "LineReporter", "BarReporter", "default_reporter"]


class Reporter:
    """Receives the progress of a run and drops it; the base of those that show it.

    Used as a context manager around the run, and called from several threads.
    """

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def phase(self, name, epochs):
        """A phase called ``name`` of ``epochs`` epochs begins; several may be under way."""

    def advance(self, name, epochs):
        """So many more epochs, or so much of one, are done."""

    def end(self, name):
        """The phase is over."""

    def line(self, text):
        """One line that is worth keeping."""


class LineReporter(Reporter):
    """Plain lines on ``stream``, for a log."""

    def __init__(self, stream=None):
        self.stream = stream or sys.stderr

    def line(self, text):
        self.stream.write(text + "\n")  # one write, so that threads do not mix their lines
        self.stream.flush()


class BarReporter(Reporter):
    """A progress bar for every phase under way below the lines, for a terminal."""

    def __init__(self, stream=None):
        self.progress = Progress(
            TextColumn("{task.description:<22}"),
            BarColumn(),
            TextColumn("{task.completed:.1f}/{task.total} epochs"),
            TimeRemainingColumn(),
            console=Console(file=stream or sys.stderr),
            transient=True,
        )
        self.tasks = {}

    def __enter__(self):
        self.progress.start()
        return self

    def __exit__(self, *error):
        self.progress.stop()

    def phase(self, name, epochs):
        self.tasks[name] = self.progress.add_task(name, total=epochs)

    def advance(self, name, epochs):
        self.progress.advance(self.tasks[name], epochs)

    def end(self, name):
        self.progress.remove_task(self.tasks.pop(name))

    def line(self, text):
        self.progress.console.print(text, highlight=False, markup=False)


def default_reporter(stream=None):
    """A bar when ``stream`` (standard error when None) is a terminal, else lines."""
    stream = stream or sys.stderr
    return (BarReporter if stream.isatty() else LineReporter)(stream)
