# SPDX-License-Identifier: Apache-2.0
"""Records: one JSON file a section, with the figures and what they were measured on."""

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path

from benchmarks.results.sources import changes, dependencies
from ecoformer.files import write_atomic

__all__ = ["Records", "dirt", "head"]

ROOT = Path(__file__).parents[2]


class Records:
    """The records and pages of one checkout.

    Parameters
    ----------
    root : Path
        Of the repository; this one by default.
    """

    def __init__(self, root: Path = ROOT):
        self.root = root
        self.folder = root / "benchmarks" / "records"
        self.pages = root / "docs" / "results"

    def load(self, page: str = "*", name: str = "*") -> list[dict]:
        """Every record of these names, in the order of their files."""
        paths = sorted(self.folder.glob(f"{page}/{name}.json"))
        return [json.loads(path.read_text()) for path in paths]

    def save(self, record: dict, folder: Path | None = None) -> Path:
        """Write a record, a line for every row and every dependency, and return its file.

        Parameters
        ----------
        record : dict
        folder : Path
            Other than that of the records.
        """
        path = (folder or self.folder) / record["page"] / f"{record['name']}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, _as_text(record))
        return path

    def dependencies(self, record: dict) -> dict:
        """Digests of what a record depends on, as it is now."""
        before = record["dependencies"]
        return dependencies(self.root, record["roots"], before["engines"], before["files"])

    def reasons(self, record: dict) -> list[str] | None:
        """Why a record is stale, nothing if it is fresh, None if that cannot be known."""
        if "dependencies" in record:
            return changes(record["dependencies"], self.dependencies(record))
        return record.get("stale", {}).get("reasons")


def head(root: Path) -> str:
    """The commit that is checked out, short."""
    return _git(root, "rev-parse", "--short", "HEAD").strip()


def dirt(root: Path, records: Records) -> list[str]:
    """Paths with uncommitted changes, but for the records and pages that benchmarks write."""
    written = (f"{folder.relative_to(root)}/" for folder in (records.folder, records.pages))
    written = tuple(written)
    lines = _git(root, "status", "--porcelain", "--untracked-files=all").splitlines()
    return [path for path in (line[3:] for line in lines) if not path.startswith(written)]


def _git(root, *arguments):
    return subprocess.run(
        ["git", *arguments], cwd=root, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def _as_text(record):
    lines = []
    for key, value in record.items():
        if isinstance(value, list) and value and isinstance(value[0], list):
            value = _block("[", [_json(row) for row in value], "]", "  ")
        elif key == "dependencies":
            kinds = [f"{_json(kind)}: {_object(digests)}" for kind, digests in value.items()]
            value = _block("{", kinds, "}", "  ")
        else:
            value = _json(value)
        lines.append(f"{_json(key)}: {value}")
    return _block("{", lines, "}", "") + "\n"


def _object(digests):
    return _block("{", [f"{_json(k)}: {_json(v)}" for k, v in digests.items()], "}", "    ")


def _block(opening: str, lines: Iterable[str], closing: str, indent: str) -> str:
    lines = list(lines)
    if not lines:
        return opening + closing
    return f"{opening}\n" + ",\n".join(f"{indent}  {x}" for x in lines) + f"\n{indent}{closing}"


def _json(value):
    return json.dumps(value, ensure_ascii=False)
