# SPDX-License-Identifier: Apache-2.0
import io
import re
import time

import pytest

from ecoformer import progress
from ecoformer.progress import BarProgress, LineProgress, show_progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_stream_decides():
    assert type(show_progress(io.StringIO())) is LineProgress
    assert type(show_progress(Terminal())) is BarProgress


def test_log_has_the_begin_and_the_end_of_every_stage():
    log = io.StringIO()
    with show_progress(log) as shown:
        for done in range(4):
            shown.update("build", done, 3)
            shown.update("build", done, 3)
        shown.line("kept")
        shown.update("train", 1 / 3, 2)
        shown.update("build", 0, 3)  # again
    assert log.getvalue().splitlines() == [
        "build: 0 of 3", "build: 3 of 3", "kept", "train: 0.3 of 2.0", "build: 0 of 3",
    ]


def test_log_has_a_line_from_time_to_time(monkeypatch):
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    log = io.StringIO()
    shown = LineProgress(log)
    for now in range(200):
        shown.update("simulate", 1_000 * now, 200_000)
    lines = log.getvalue().splitlines()
    assert lines[:2] == ["simulate: 0 of 200,000", "simulate: 6,000 of 200,000, 6 s"]
    times = [int(re.search(r"(\d+) s", line)[1]) for line in lines[1:]]
    gaps = [after - before for before, after in zip(times, times[1:])]
    assert min(gaps) > progress.LOG_SECONDS and gaps[-1] > times[-2] / 10


@pytest.mark.parametrize("width", [60, 30])
def test_bars_do_not_cut_numbers(width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("LINES", "20")
    terminal = Terminal()
    with show_progress(terminal) as shown:
        shown.update("sequences through the network", 123_456, 1_234_567)
        shown.update("first", 0.5, 2)
        shown.update("first", 0.25, 2)  # again
        shown.line("a [line] longer than any terminal is wide, " + 70 * "=")
    text = terminal.getvalue()
    assert "123,456/1,234,567" in text and "0.2/2.0" in text
    assert "a [line] longer than any terminal is wide, " + 70 * "=" in text
