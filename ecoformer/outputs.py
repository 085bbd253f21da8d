# SPDX-License-Identifier: Apache-2.0
"""Folders that a verb writes: file by file, each whole, and never anything that is not its own."""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from ecoformer.errors import EcoformerError
from ecoformer.files import cache_folder, checksum, is_special, write_atomic, write_json
from ecoformer.inputs import parse_json, read_bytes
from ecoformer.processes import scratch

__all__ = ["OutputFolder", "check_file", "check_folder", "read_record"]


def check_folder(path: str | os.PathLike) -> None:
    """Refuse a folder that cannot be written into, or made; nothing is touched.

    Raises `EcoformerError`, as everything here does.
    """
    for folder in (Path(path), *Path(path).absolute().parents):
        if folder.exists() or folder.is_symlink():
            if not folder.is_dir():
                raise EcoformerError(f"{folder}: not a folder; choose another one")
            if not os.access(folder, os.W_OK | os.X_OK):
                raise EcoformerError(f"{folder}: no permission to write; choose another folder")
            return


def check_file(
    path: str | os.PathLike, suffixes: Sequence[str] = (), made: Iterable[str | os.PathLike] = ()
) -> None:
    """Refuse a file that cannot be written; nothing is touched.

    Parameters
    ----------
    path : path
    suffixes : sequence of str
        All that are allowed; any without.
    made : iterable of path
        Folders that will have been made when the file is written.
    """
    path, real = Path(path), Path(os.path.realpath(path))
    if suffixes and path.suffix not in suffixes:
        raise EcoformerError(f"{path}: must end in {' or '.join(suffixes)}; choose another name")
    if real.is_dir():
        raise EcoformerError(f"{path}: a folder, not a file; choose another name")
    if path.exists() and not os.access(path, os.W_OK):
        raise EcoformerError(f"{path}: no permission to write; choose another name")
    if is_special(path):
        return  # it is written to where it is
    if record := _record_of(real):
        raise EcoformerError(f"{path}: belongs to the results of {record}; choose another name")
    if real.parent.is_dir():
        if not os.access(real.parent, os.W_OK | os.X_OK):
            raise EcoformerError(f"{path}: no permission to write into its folder")
    elif not any(real.parent == Path(os.path.realpath(folder)) for folder in made):
        raise EcoformerError(f"{path}: its folder {path.parent} does not exist; make it first")


DIGEST = re.compile("[0-9a-f]{64}")
DEEPEST, LARGEST_RECORD = 3, 1 << 20
"""Folders between a file and its record, and most bytes of one that is looked at."""


class OutputFolder:
    """A folder whose record lists the files in it that belong to a verb.

    The record is a JSON file with a key ``files``, name to SHA-256. What it lists, a later run
    may replace or remove; whatever else lies in the folder stays as it is. A file that is in the
    way and not listed is refused by name. The folder may be the current one, a symbolic link, a
    mount point, or full of the user's files.

    Parameters
    ----------
    path : path
    record : str
        Name of the record, which every finished folder of the verb holds.
    names : iterable of str
        Files that will be written, as far as they are known beforehand.

    Raises
    ------
    EcoformerError
        ``path`` or one of ``names`` cannot be written without harm to something foreign.
        Nothing has been touched then.
    """

    def __init__(self, path: str | os.PathLike, record: str, names: Iterable[str] = ()) -> None:
        self.path = Path(path)
        self.record = record
        self.own = self._own()
        check_folder(self.path)
        self._check((record, *names))

    @contextlib.contextmanager
    def writing(self) -> Iterator[Path]:
        """Private folder to write into; what is there when the block ends well is published.

        If the block fails, the output folder is as it was, but for what was published early. Its
        record is the content of the file of that name in the private folder, with ``files`` added.
        """
        with scratch(cache_folder("outputs"), "output-") as private:
            yield private
            self._publish(private)

    def publish_early(self, path: Path) -> None:
        """Publish a finished file of the private folder now; it stays even if the block fails."""
        name = path.name
        self._check([name])
        digests = {name: checksum(path)}
        self.path.mkdir(parents=True, exist_ok=True)
        self._begin(digests)
        write_atomic(self.path / name, path.read_bytes())
        self.own |= {**digests, self.record: ""}

    def _publish(self, private: Path) -> None:
        facts = parse_json((private / self.record).read_bytes())
        files = {
            path.relative_to(private).as_posix(): path
            for path in sorted(private.rglob("*"))
            if path.is_file() and path != private / self.record
        }
        self._check(files)
        digests = {name: checksum(path) for name, path in files.items()}
        try:
            self._write(facts, files, digests)
        except OSError:
            if not self.own:  # nothing of an earlier run to keep: leave nothing of this one either
                for name in (*digests, self.record):
                    self._remove(name)
                with contextlib.suppress(OSError):
                    self.path.rmdir()
            raise

    def _write(self, facts: dict, files: dict[str, Path], digests: dict[str, str]) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        self._begin(digests)
        for name, path in files.items():
            target = self.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(target, path.read_bytes(), mode=path.stat().st_mode & 0o777 | 0o666)
        for name in self.own.keys() - digests.keys() - {self.record}:
            self._remove(name)
        write_json(self.path / self.record, {**facts, "files": digests})

    def _begin(self, digests: dict[str, str]) -> None:
        """Leave a record by which a run after an interrupted one knows what is its to replace."""
        write_json(self.path / self.record, {"complete": False, "files": self.own | digests})

    def _own(self) -> dict[str, str]:
        """Files that the record lists; nothing where there is no record of this verb's."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            files = parse_json(read_bytes(self.path / self.record))["files"]
            if all(_is_inside(name) for name in files):
                return {**files, self.record: ""}
        return {}

    def _check(self, names: Iterable[str]) -> None:
        for name in names:
            target = self.path / name
            for folder in target.relative_to(self.path).parents:
                blocking = self.path / folder
                if blocking.exists() and not blocking.is_dir():
                    raise EcoformerError(_in_the_way(blocking))
            if target.is_dir() or (os.path.lexists(target) and name not in self.own):
                raise EcoformerError(_in_the_way(target))

    def _remove(self, name: str) -> None:
        target = self.path / name
        if target.is_file() or target.is_symlink():
            target.unlink()
        with contextlib.suppress(OSError):  # not empty: something foreign stays in it
            for folder in target.relative_to(self.path).parents[:-1]:
                (self.path / folder).rmdir()


def read_record(
    folder: str | os.PathLike, record: str, verb: str, whole: Iterable[str] = ()
) -> dict:
    """The record of a folder that ``verb`` wrote, after a check of the files ``whole``.

    Raises
    ------
    EcoformerError
        No record, an unfinished one, or one of ``whole`` is missing or has changed.
    """
    folder = Path(folder)
    again = f"run 'ecoformer {verb}' again"
    try:
        facts = parse_json(read_bytes(folder / record))
        files = dict(facts["files"])
    except FileNotFoundError:
        raise EcoformerError(
            f"{folder}: nothing that 'ecoformer {verb}' wrote, no {record}; run it with -o {folder}"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EcoformerError(f"{folder / record}: damaged ({error}); {again}") from error
    if not facts.get("complete", True):
        raise EcoformerError(f"{folder}: unfinished, because the run was interrupted; {again}")
    for name in whole:
        path = folder / name
        if not path.is_file():
            raise EcoformerError(f"{path}: missing; {again}")
        if checksum(path) != files.get(name):
            raise EcoformerError(f"{path}: changed since it was written; {again}")
    return facts


def _record_of(path):
    """The record that lists the file ``path``, or is it; None if it belongs to no results."""
    for folder in list(path.parents)[:DEEPEST]:
        for record in folder.glob("*.json"):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
                files = parse_json(read_bytes(record, LARGEST_RECORD))["files"]
                is_record = any(DIGEST.fullmatch(digest) for digest in files.values())
                if is_record and path in (record, *(folder / name for name in files)):
                    return record
    return None


def _is_inside(name):
    parts = PurePosixPath(name).parts
    return bool(parts) and ".." not in parts and not PurePosixPath(name).is_absolute()


def _in_the_way(path):
    return f"{path}: in the way, and not written by this command; move it or choose another -o"
