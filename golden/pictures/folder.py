# SPDX-License-Identifier: Apache-2.0
"""A folder of pictures in the usual layout: ``train/CLASS/…`` and ``val/CLASS/…``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ecoformer.errors import EcoformerError
from ecoformer.golden.pictures.picture import SUFFIXES, is_picture

__all__ = ["Part", "find_held_out", "find_parts"]

TRAIN, VALIDATION, TEST = ("train",), ("val", "validation"), ("test",)
"""Names that the folders of a part may have."""
SHOWN = 3
"""Names in a message."""


@dataclass(frozen=True)
class Part:
    """The pictures of one part, sorted by class and name.

    Parameters
    ----------
    folder : Path
    classes : tuple of str
        Names of its folders, sorted; the place is the label.
    names : bytes array [n]
        Paths below ``folder``: arrays take much less memory than strings.
    labels : int64 array [n]
    """

    folder: Path
    classes: tuple[str, ...]
    names: np.ndarray
    labels: np.ndarray


def find_parts(root: str | Path) -> dict[str, Part]:
    """The parts ``train``, and ``val`` or ``test`` or both, of the folder ``root``.

    Raises
    ------
    EcoformerError
        A part, its classes or its pictures are missing, or its classes are not those of ``train``.
    """
    root = Path(root)
    if not root.is_dir():
        raise EcoformerError(
            f"{root}: no such folder; give one with train/CLASS/ and val/CLASS/ or test/CLASS/ as "
            "data_path"
        )
    found = {names[0]: part for names in (TRAIN, VALIDATION, TEST) if (part := _part(root, names))}
    if "train" not in found or len(found) == 1:
        missing = "val/ or test/" if "train" in found else "train/"
        raise EcoformerError(
            f"{root}: no folder {missing}; it must hold train/CLASS/ and val/CLASS/ or test/CLASS/"
        )
    for part in found.values():
        _check_classes(part, found["train"])
    return found


def find_held_out(root: str | Path) -> Part:
    """The pictures in ``root`` that are held out: of ``test/``, else ``val/``, else its classes.

    Raises
    ------
    EcoformerError
        There are no pictures.
    """
    root = Path(root)
    if not root.is_dir():
        raise EcoformerError(f"{root}: no such folder; give one with test/CLASS/ or val/CLASS/")
    found = _part(root, TEST) or _part(root, VALIDATION)
    if found is None and (root / TRAIN[0]).is_dir():
        raise EcoformerError(f"{root}: no folder test/ or val/; nothing is held out of train/")
    return found or _read(root)


def _part(root, names):
    folders = [root / name for name in names if (root / name).is_dir()]
    return _read(folders[0]) if folders else None


def _read(folder):
    classes = sorted(e.name for e in os.scandir(folder) if e.is_dir() and e.name[0] != ".")
    if not classes:
        flat = any(is_picture(entry.name) for entry in os.scandir(folder))
        what = "pictures but no folders of classes" if flat else "no folders of classes"
        raise EcoformerError(f"{folder}: {what}; put the pictures of a class into a folder of it")
    names, labels = [], []
    for label, name in enumerate(classes):
        pictures = sorted(e.name for e in os.scandir(folder / name) if is_picture(e.name))
        if not pictures:
            raise EcoformerError(
                f"{folder / name}: no pictures ({', '.join(SUFFIXES)}); add some, or remove it"
            )
        names += [os.fsencode(f"{name}/{picture}") for picture in pictures]
        labels += [label] * len(pictures)
    return Part(folder, tuple(classes), np.array(names), np.array(labels, np.int64))


def _check_classes(part, train):
    for less, more in ((part, train), (train, part)):
        missing = sorted({*more.classes} - {*less.classes})
        if missing:
            names = ", ".join(missing[:SHOWN]) + (", …" if len(missing) > SHOWN else "")
            raise EcoformerError(
                f"{less.folder}: {len(missing)} classes of {more.folder.name}/ are missing: "
                f"{names}; both must have the same folders"
            )
