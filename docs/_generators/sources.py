# SPDX-License-Identifier: Apache-2.0
"""What the documentation reads from source: fields and their docstrings, without importing them."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

import griffe

__all__ = ["ROOT", "fields_of", "package_tree"]

ROOT = Path(__file__).parents[2]
PLACES = {"golden": "golden", "hw": "hw", "sim": "sim"}
"""Packages inside ``ecoformer`` that lie at the top level of the repository."""


@cache
def package_tree() -> Path:
    """Folder in which ``ecoformer`` looks as it does when installed.

    Static analysers do not follow setuptools' ``package-dir``; they do follow links.
    """
    folder = Path(tempfile.mkdtemp(prefix="ecoformer-docs-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    package = folder / "ecoformer"
    package.mkdir()
    for path in (ROOT / "ecoformer").iterdir():
        if path.suffix == ".py" or (path / "__init__.py").is_file():
            (package / path.name).symlink_to(path)
    for name, place in PLACES.items():
        (package / name).symlink_to(ROOT / place)
    return folder


@cache
def _package() -> griffe.Module:
    return griffe.load(
        "ecoformer", search_paths=[str(package_tree())], try_relative_path=False
    )


@cache
def _classes() -> dict[str, griffe.Class]:
    """Every class by its name, wherever it lies."""
    found, modules = {}, [_package()]
    while modules:
        for member in modules.pop().members.values():
            if member.is_alias:
                continue
            if member.is_module:
                modules.append(member)
            elif member.is_class:
                found[member.name] = member
    return found


def fields_of(name: str) -> list[tuple[str, str, str, str]]:
    """Name, type, default and description of every field of a dataclass, then of its bases.

    Parameters
    ----------
    name : str
        Name of the class.

    Raises
    ------
    ValueError
        A field without a description, or a description without a field.
    """
    cls = _classes()[name]
    described = {}
    for section in cls.docstring.parse("numpy"):
        if section.kind is griffe.DocstringSectionKind.parameters:
            for parameter in section.value:
                for field in parameter.name.split(","):
                    described[field.strip().lstrip("*")] = " ".join(parameter.description.split())
    found = []
    for field, member in cls.members.items():
        if member.is_attribute and member.annotation and "property" not in member.labels:
            text = described.pop(field, "")
            found.append((field, str(member.annotation), str(member.value or ""), text))
    missing = [field for field, *_, text in found if not text]
    if missing or described:
        extra = [*described]
        raise ValueError(f"{cls.path}: undocumented {missing}, documented but absent {extra}")
    bases = [str(base).rpartition(".")[2] for base in cls.bases]
    return found + [field for base in bases if base in _classes() for field in fields_of(base)]
