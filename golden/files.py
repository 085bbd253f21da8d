# SPDX-License-Identifier: Apache-2.0
"""Torch files and digests of what is in them."""

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from ecoformer.errors import EcoformerError, first_line
from ecoformer.files import rendered

__all__ = ["read_checked", "state_digest", "torch_bytes"]

MARK = b"ecoformer sha256"
DIGEST = hashlib.sha256().digest_size
TRAILER = len(MARK) + DIGEST


def read_checked(path: str | Path, what: str, verb: str = "train") -> Any:
    """Tensors and plain values of a torch file.

    Parameters
    ----------
    path : path
    what : str
        What the file is, for messages.
    verb : str
        The verb that writes it.

    Raises
    ------
    EcoformerError
        It cannot be read.
    """
    if not Path(path).is_file():
        raise EcoformerError(f"{path}: no such {what}; make one with '{verb}'")
    try:
        data = Path(path).read_bytes()
        content, mark, digest = data[:-TRAILER], data[-TRAILER:-DIGEST], data[-DIGEST:]
        if mark != MARK:
            raise ValueError("no checksum at its end: cut off, or written by something else")
        if hashlib.sha256(content).digest() != digest:
            raise ValueError("checksum differs")
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (RuntimeError, UnpicklingError, EOFError, OSError, ValueError, KeyError) as error:
        raise EcoformerError(
            f"{path}: damaged {what} ({first_line(error)}); {verb} again"
        ) from error


def torch_bytes(content: Any) -> bytes:
    """A torch file with a checksum behind it, which `torch.load` skips and `read_checked` checks.

    The same content gives the same bytes: on a path, torch would put the file's name into them.
    """
    data = rendered(lambda file: torch.save(content, file))
    return data + MARK + hashlib.sha256(data).digest()


def state_digest(state: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 of names, types, shapes and bytes of a state_dict."""
    digest = hashlib.sha256()
    for name, tensor in state.items():
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
