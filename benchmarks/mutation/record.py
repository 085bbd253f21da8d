# SPDX-License-Identifier: Apache-2.0
"""Answers of a campaign, kept line by line: one that was stopped goes on where it was."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["Record"]


class Record:
    """What is known already, in a file that grows line by line.

    Parameters
    ----------
    path : Path
        Need not exist yet.
    """

    def __init__(self, path: Path):
        self.path, self.found = path, {}
        if path.is_file():
            for line in path.read_text(encoding="utf-8").splitlines():
                key, number, answer = json.loads(line)
                self.found[key, number] = answer

    def __getitem__(self, key):
        return self.found[key]

    def __contains__(self, key):
        return key in self.found

    def get(self, key: str, number: int, work: Callable[[], Any]) -> Any:
        """The answer that is recorded, or that of ``work``, which is recorded then."""
        if (key, number) not in self.found:
            self.found[key, number] = answer = work()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps([key, number, answer]) + "\n")
        return self.found[key, number]
