# SPDX-License-Identifier: Apache-2.0
"""IDX files, in which MNIST and Fashion-MNIST are published: bytes with a header of their sizes."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from ecoformer.errors import EcoformerError

__all__ = ["read_idx_part"]

LARGEST = 1 << 28
"""Most bytes of a file when it is unpacked."""
SOURCES = {
    "fashion": "install the Debian package dataset-fashion-mnist or give the folder of its idx.gz "
    "files",
    "mnist": "give the folder of its idx.gz files",
}


def read_idx_part(name: str, folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [n, height, width] and labels uint8 [n] of one part.

    Parameters
    ----------
    name : str
        ``mnist`` or ``fashion``.
    folder : Path
        Of the four files, packed by gzip or not.
    part : str
        ``train`` or ``t10k``.

    Raises
    ------
    EcoformerError
        A file is missing or damaged, or there are not as many labels as images.
    """
    images = _read(name, folder / f"{part}-images-idx3-ubyte.gz", 3)
    labels = _read(name, folder / f"{part}-labels-idx1-ubyte.gz", 1)
    if len(images) != len(labels):
        raise EcoformerError(
            f"data set {name}: {folder} holds {len(images)} {part} images but {len(labels)} "
            "labels; install its files again"
        )
    return images, labels


def _read(name, path, dimensions):
    """Unsigned bytes of an IDX file: magic 0 0 8 ndim, big-endian sizes, then the data."""
    plain = path.with_suffix("")
    try:
        with open(plain, "rb") if plain.is_file() else gzip.open(path) as file:
            raw = file.read(LARGEST)
    except FileNotFoundError as error:
        raise EcoformerError(f"data set {name}: no file {path}; {SOURCES[name]}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise EcoformerError(
            f"data set {name}: cannot read {path} ({error}); install it again"
        ) from error
    header = 4 + 4 * dimensions
    shape = tuple(np.frombuffer(raw[4:header], ">u4").tolist()) if len(raw) >= header else ()
    if raw[:4] != bytes([0, 0, 8, dimensions]) or len(raw) - header != math.prod(shape):
        raise EcoformerError(
            f"data set {name}: {path} is not an IDX file of bytes with {dimensions} dimensions; "
            "install it again"
        )
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)
