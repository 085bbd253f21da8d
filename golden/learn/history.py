# SPDX-License-Identifier: Apache-2.0
"""The history of a training run as a table for other tools, written while it runs."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from ecoformer.files import write_atomic

__all__ = ["file_name", "write_history"]


def file_name(run: str) -> str:
    """What the files of a run are called, without their suffix."""
    return run.replace(" ", "-")


def write_history(path: Path, history: Sequence[dict]) -> None:
    """Write one line per epoch, with a header, as CSV; the file is whole at any time."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, text.getvalue())
