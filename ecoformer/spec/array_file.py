# SPDX-License-Identifier: Apache-2.0
"""Files of integer arrays: safetensors whose metadata says what they are and what they fit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ecoformer.errors import EcoformerError
from ecoformer.files import write_atomic
from ecoformer.inputs import parse_json, read_bytes

__all__ = ["ArrayFile", "array_checksum"]


@dataclass(frozen=True)
class ArrayFile:
    """A kind of file of named arrays, with a checksum over all of them.

    Parameters
    ----------
    name : str
        What messages call it.
    version : int
        Version of its format, the only one that is read.
    made_for : str
        What the fingerprint in it is of, in messages.
    """

    name: str
    version: int
    made_for: str

    def save(self, path: str | Path, arrays: dict[str, np.ndarray], fingerprint: str) -> None:
        """Write ``arrays`` for what has this ``fingerprint``; atomic, and always the same bytes."""
        arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
        metadata = {
            "format": f"ecoformer {self.name}",
            "format_version": str(self.version),
            "bits_fingerprint": fingerprint,
            "checksum": array_checksum(arrays),
        }
        write_atomic(path, _serialise(arrays, metadata))

    def load(
        self, path: str | Path, fingerprint: str, names: Iterable[str]
    ) -> dict[str, np.ndarray]:
        """The arrays of the file at ``path``, which must be these ``names``.

        Raises
        ------
        EcoformerError
            Missing, damaged, of another version, or made for another ``fingerprint``.
        """
        path = Path(path)
        if not path.is_file():
            raise EcoformerError(f"{path}: no such {self.name}; make one with 'export'")
        try:
            data = read_bytes(path)
            arrays, metadata = load(data), _metadata(data)
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            raise self._damaged(path, str(error)) from error
        self._check_metadata(path, metadata, fingerprint)
        if wrong := ", ".join(sorted(arrays.keys() ^ set(names))):
            raise self._damaged(path, f"missing or unknown arrays: {wrong}")
        if array_checksum(arrays) != metadata.get("checksum"):
            raise self._damaged(path, "checksum differs")
        return arrays

    def misfit(self, path: str | Path, error: Exception) -> EcoformerError:
        """How to refuse arrays that are intact and break the rule that ``error`` names."""
        return EcoformerError(
            f"{path}: {self.name} does not fit the {self.made_for} ({error}); export it again"
        )

    def _damaged(self, path, reason):
        return EcoformerError(f"{path}: damaged {self.name} ({reason}); export it again")

    def _check_metadata(self, path, metadata, fingerprint):
        version = metadata.get("format_version", "")
        if metadata.get("format") != f"ecoformer {self.name}" or not version.isdecimal():
            raise EcoformerError(f"{path}: not a {self.name} of this product; export one")
        if int(version) != self.version:
            age = "newer" if int(version) > self.version else "older"
            raise EcoformerError(
                f"{path}: {self.name} has the {age} format {version}, this version reads "
                f"{self.version}; "
                + ("update ecoformer" if age == "newer" else "export it again")
            )
        if metadata.get("bits_fingerprint") != fingerprint:
            raise EcoformerError(
                f"{path}: {self.name} was made for another {self.made_for} (fingerprint "
                f"{metadata.get('bits_fingerprint', '')[:12]}, not {fingerprint[:12]}); "
                f"use its {self.made_for} or export again"
            )


def _metadata(data):
    size = int.from_bytes(data[:8], "little")
    return parse_json(data[8 : 8 + size]).get("__metadata__", {})


def _serialise(arrays, metadata):
    """Bytes of a safetensors file with its metadata in fixed order, which the library shuffles."""
    content = save(arrays, metadata)
    start, size = 8, int.from_bytes(content[:8], "little")
    header = {**json.loads(content[start : start + size]), "__metadata__": metadata}
    text = json.dumps(header, separators=(",", ":")).encode().ljust(size)
    return content[:start] + text + content[start + size :]


def array_checksum(arrays: dict[str, np.ndarray]) -> str:
    """SHA-256 of named arrays: of every name, type, shape and element."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
