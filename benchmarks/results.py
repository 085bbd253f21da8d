"""Sections of ``docs/results.md``: each is rewritten whole by the command that measured it."""

import platform
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

__all__ = ["write_section"]

RESULTS = Path(__file__).parents[1] / "docs" / "results.md"
TITLE = "# Results\n\nEvery section is written by the command that it names.\n"


def write_section(title, command, seed, header, rows):
    """Replace the section ``title`` of the results by a table, with what it was measured on.

    Parameters
    ----------
    title, command : str
    seed : int
    header : list of str
    rows : list of list
    """
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=RESULTS.parent, capture_output=True,
        text=True, check=False,
    ).stdout.strip()  # fmt: skip
    lines = [
        f"## {title}",
        "",
        f"{date.today()}, commit {commit or 'unknown'}, `{command}`, seed {seed}, "
        f"Python {platform.python_version()}.",
        "",
        "| " + " | ".join(header) + " |",
        "|" + "---|" * len(header),
        *("| " + " | ".join(map(str, row)) + " |" for row in rows),
        "",
    ]
    text = RESULTS.read_text() if RESULTS.exists() else TITLE
    section = re.compile(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    body = "\n".join(lines)
    if section.search(text):
        text = section.sub(lambda _: body + "\n", text)
    else:
        text = text.rstrip("\n") + "\n\n" + body
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(text.rstrip("\n") + "\n")
    print(body, file=sys.stderr)
