# SPDX-License-Identifier: Apache-2.0
"""Why a tool stopped: the line of its log that gives the reason."""

import contextlib
import re
import signal
from collections.abc import Iterable
from pathlib import Path

__all__ = ["reason", "reason_in"]

LONGEST = 300
QUOTED = re.compile(r"^\s*\d*\s*\|")
"""A line of the source, or the marks under it, as compilers show them."""
FIRST = (
    r"^%Error(?!: (Exiting due to|Command Failed))",  # verilator
    r"^\s*([\d.]+\w+ +)?(\S+:\d+: )?ERROR\b",  # yosys, nextpnr, cocotb
    r"^\S+?:\d+:(\d+:)? (\w+ )?(error|sorry)\b",  # g++, iverilog
    r"undefined reference to|: cannot find -l",  # ld
    r"No space left on device|Cannot allocate memory|memory exhausted|bad_alloc|Permission denied",
    r"Assertion .*failed|Assertion failure|terminate called|what\(\): ",
)
"""Reasons, the most telling kind first; of a kind, the first line is the cause of the others."""
LAST = (
    r"^[A-Za-z_][\w.]*(Error|Exception|Interrupt|Exit)\b",  # the end of a traceback of Python
    r": (command )?not found$",  # sh
    r"^\S*make\S*: \*\*\* ",
    r"\b(error|fatal)\b: ",
)
"""The same, where the last line of a kind counts."""


def reason(status: int, *logs: str | Path) -> str:
    """The reason why a tool stopped, from its logs.

    Parameters
    ----------
    status : int
        Its exit status, 128 + n if signal n ended it.
    *logs : path
        One that is missing is passed over.

    Returns
    -------
    str
        One line, at most 300 characters.
    """
    lines: list[str] = []
    for log in logs:
        with contextlib.suppress(OSError):
            lines += Path(log).read_text(errors="replace", encoding="utf-8").splitlines()
    if status == 137:
        return "it was killed, as happens where memory runs out"
    if status > 128 and not _told(_said(lines)):  # its last line is what it was about to do
        with contextlib.suppress(ValueError):
            return f"{signal.Signals(status - 128).name} ended it"
    return reason_in(lines) or f"it stopped with status {status} and said nothing"


def reason_in(lines: Iterable[str]) -> str:
    """The reason among the ``lines`` of a log; else the last line, empty where there is none."""
    said = _said(lines)
    return _told(said) or (said[-1].strip()[:LONGEST] if said else "")


def _said(lines):
    """Without empty lines and sources."""
    return [line.rstrip() for line in lines if line.strip() and not QUOTED.match(line)]


def _told(said):
    """The line that gives the reason; empty where none does."""
    for patterns, order in ((FIRST, 1), (LAST, -1)):
        for pattern in patterns:
            for line in said[::order]:
                if re.search(pattern, line):
                    return line.strip()[:LONGEST]
    return ""
