# SPDX-License-Identifier: Apache-2.0
"""Torch files and digests of what is in them."""

import hashlib
import io
import math
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from ecoformer.errors import EcoformerError, first_line
from ecoformer.files import rendered
from ecoformer.inputs import read_bytes, sealed, unsealed

__all__ = ["check_finite", "check_state", "read_checked", "state_digest", "torch_bytes"]

LARGEST = 1 << 32
"""Most bytes of a torch file."""


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
        data = unsealed(read_bytes(path, LARGEST))
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        check_finite(content)
        return content
    except (RuntimeError, UnpicklingError, EOFError, ValueError, KeyError) as error:
        raise EcoformerError(
            f"{path}: damaged {what} ({first_line(error)}); {verb} again"
        ) from error


def check_finite(content: Any, name: str = "") -> None:
    """Refuse a number that is not finite, anywhere in tensors, dicts and lists; a ValueError."""
    if isinstance(content, torch.Tensor):
        if content.is_floating_point() and not content.isfinite().all():
            raise ValueError(f"{name} holds numbers that are not finite")
    elif isinstance(content, float):
        if not math.isfinite(content):
            raise ValueError(f"{name} is not a finite number")
    elif isinstance(content, Mapping):
        for key, value in content.items():
            check_finite(value, f"{name}.{key}" if name else str(key))
    elif isinstance(content, (list, tuple)):
        for place, value in enumerate(content):
            check_finite(value, f"{name}[{place}]")


def check_state(
    state: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]
) -> None:
    """Refuse a state_dict whose names, shapes or types are not the ``expected``; a ValueError."""
    if not isinstance(state, Mapping):
        raise ValueError("it holds no tensors")
    for name in [*expected, *state]:
        for there, what in ((state, "missing"), (expected, "unknown")):
            if not isinstance(there.get(name), torch.Tensor):
                raise ValueError(f"tensor {name} is {what}")
        found, wanted = state[name], expected[name]
        if (found.shape, found.dtype) != (wanted.shape, wanted.dtype):
            raise ValueError(
                f"tensor {name} must be {wanted.dtype} {list(wanted.shape)}, not {found.dtype} "
                f"{list(found.shape)}"
            )


def torch_bytes(content: Any) -> bytes:
    """A torch file with a checksum behind it, which `torch.load` skips and `read_checked` checks.

    The same content gives the same bytes: on a path, torch would put the file's name into them.
    """
    return sealed(rendered(lambda file: torch.save(content, file)))


def state_digest(state: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 of names, types, shapes and bytes of a state_dict."""
    digest = hashlib.sha256()
    for name, tensor in state.items():
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().tobytes())  # numpy has no bfloat16
    return digest.hexdigest()
