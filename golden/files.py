# SPDX-License-Identifier: Apache-2.0
"""Torch files and digests of what is in them."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from ecoformer.errors import EcoformerError, first_line
from ecoformer.files import rendered

__all__ = ["read_checked", "state_digest", "torch_bytes"]


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
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, UnpicklingError, EOFError, OSError, ValueError, KeyError) as error:
        raise EcoformerError(
            f"{path}: damaged {what} ({first_line(error)}); {verb} again"
        ) from error


def torch_bytes(content: Any) -> bytes:
    """What torch.save writes; on a path it would put the file's name into the bytes."""
    return rendered(lambda file: torch.save(content, file))


def state_digest(state: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 of names, types, shapes and bytes of a state_dict."""
    digest = hashlib.sha256()
    for name, tensor in state.items():
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
