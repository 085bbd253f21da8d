# SPDX-License-Identifier: Apache-2.0
"""CIFAR-10 as its authors publish it: an archive or a folder, in the Python or the binary version.

Source: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009, appendix A.
"""

import io
import pickle
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ecoformer.errors import EcoformerError, first_line
from ecoformer.inputs import read_bytes

__all__ = ["CLASSES", "read_cifar10"]

CLASSES, PIXELS = 10, 3 * 32 * 32
BATCHES = {"train": [f"data_batch_{number}" for number in range(1, 6)], "test": ["test_batch"]}
"""Names of the files of the two parts."""
LARGEST = 1 << 26
"""Most bytes of one of them."""


def read_cifar10(path: str | Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images uint8 [n, 3, 32, 32] and labels int64 [n] of ``train`` and ``test``.

    Parameters
    ----------
    path : path
        ``cifar-10-python.tar.gz``, ``cifar-10-binary.tar.gz``, or the folder in one of them.

    Raises
    ------
    EcoformerError
        It is missing or damaged. No code of a file is run.
    """
    path = Path(path)
    wanted = {name for names in BATCHES.values() for name in names}
    try:
        found = {name: _records(data) for name, data in _files(path, wanted)}
    except FileNotFoundError as error:
        raise EcoformerError(
            f"data set cifar10: no file {error.filename}; give cifar-10-python.tar.gz, "
            "cifar-10-binary.tar.gz or its folder as --data-path, or as data_path in the "
            "configuration"
        ) from error
    except (OSError, tarfile.TarError, EOFError, ValueError, zlib.error, LookupError, TypeError,
            AttributeError, ImportError, pickle.UnpicklingError) as error:
        raise EcoformerError(
            f"data set cifar10: cannot read {path} ({first_line(error)}); download it again"
        ) from error
    if missing := sorted(wanted - found.keys()):
        raise EcoformerError(
            f"data set cifar10: no {missing[0]} in {path}; download it again"
        )
    return {
        part: (
            np.concatenate([found[name][0] for name in names]),
            np.concatenate([found[name][1] for name in names]),
        )
        for part, names in BATCHES.items()
    }


def _files(path: Path, wanted: set[str]) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        for name in sorted(wanted):
            binary = path / f"{name}.bin"
            yield name, read_bytes(binary if binary.is_file() else path / name, LARGEST)
        return
    with tarfile.open(path) as archive:
        for member in archive:
            name = Path(member.name).name.removesuffix(".bin")
            if name in wanted and member.isfile():
                if member.size > LARGEST:
                    raise ValueError(f"{name} has {member.size:,} bytes")
                file = archive.extractfile(member)
                assert file is not None
                yield name, file.read()


def _records(data):
    """Images and labels of one file: a pickled dict, or records of a label and its pixels."""
    if data.startswith(b"\x80"):
        content = _Arrays(io.BytesIO(data), encoding="bytes").load()
        pixels, labels = np.asarray(content[b"data"]), np.asarray(content[b"labels"])
    else:
        records = np.frombuffer(data, np.uint8).reshape(-1, 1 + PIXELS)
        pixels, labels = records[:, 1:], records[:, 0]
    if pixels.dtype != np.uint8 or pixels.shape != (len(labels), PIXELS) or not len(labels):
        raise ValueError(f"pixels are {pixels.dtype} {list(pixels.shape)}")
    if labels.min() < 0 or labels.max() >= CLASSES:
        raise ValueError(f"labels are not 0…{CLASSES - 1}")
    return pixels.reshape(-1, 3, 32, 32).copy(), labels.astype(np.int64)


class _Arrays(pickle.Unpickler):
    """Reads arrays of numbers, and refuses whatever else a pickle could name."""

    allowed = {
        ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
        ("numpy._core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): lambda text, encoding: text.encode(encoding),
    }

    def find_class(self, module, name):
        if (module, name) not in self.allowed:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return self.allowed[module, name]
