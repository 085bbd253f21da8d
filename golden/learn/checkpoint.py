# SPDX-License-Identifier: Apache-2.0
"""Files from which an interrupted run resumes, to end with the same bytes."""

import json
from pathlib import Path
from typing import Any

from ecoformer.errors import EcoformerError
from ecoformer.files import write_atomic
from ecoformer.golden.files import read_checked, torch_bytes

__all__ = ["Checkpoint", "drop_checkpoints"]

LONGEST = 40
"""Characters of a value in a message; digests have more."""


def drop_checkpoints(folder: str | Path) -> None:
    """Delete the checkpoints in ``folder`` and below; other files of the same suffix stay."""
    for path in Path(folder).rglob("*.pt"):
        try:
            content = read_checked(path, "checkpoint")
        except EcoformerError:
            continue
        if isinstance(content, dict) and "settings" in content:
            path.unlink()


class Checkpoint:
    """The state of one run, and what it was made with.

    Parameters
    ----------
    path : Path
    settings : dict
        JSON-ready; a file of other settings is refused.
    writes : bool
        Whether :meth:`save` does anything; of several processes one writes.
    """

    def __init__(self, path: str | Path, settings: dict, writes: bool = True):
        self.path = Path(path)
        self.settings = json.dumps(settings)
        self.writes = writes

    def save(self, **state: Any) -> None:
        """Replace the file by ``state``: tensors, numbers, strings, and lists and dicts of them."""
        if not self.writes:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(self.path, torch_bytes({"settings": self.settings, **state}))

    def load(self) -> dict[str, Any] | None:
        """The state, or None when there is no file yet.

        Raises
        ------
        EcoformerError
            Damaged, or of other settings.
        """
        if not self.path.exists():
            return None
        content = read_checked(self.path, "checkpoint")
        settings = content.pop("settings", "") if isinstance(content, dict) else ""
        if settings != self.settings:
            raise EcoformerError(
                f"{self.path}: checkpoint of other settings{_difference(settings, self.settings)}; "
                "give another folder or do not resume (--restart)"
            )
        return content


def _difference(before, now):
    """The first setting that differs, in a message; nothing if the file's are not readable."""
    try:
        before, now = (dict(_flat(json.loads(settings))) for settings in (before, now))
        name = next(n for n in [*now, *before] if before.get(n) != now.get(n))
    except (TypeError, ValueError, AttributeError, StopIteration):
        return ""
    was, now = repr(before.get(name)), repr(now.get(name))
    if max(len(was), len(now)) > LONGEST:
        return f": {name} is another"
    return f": {name} was {was} and is {now}"


def _flat(settings, prefix=""):
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
