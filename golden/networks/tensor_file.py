# SPDX-License-Identifier: Apache-2.0
"""Tensors of files that other programs wrote, without running anything that is in them.

A torch file is a pickle, and training code pickles its whole configuration with the weights. Here
every class but those of tensors becomes an inert stand-in: nothing foreign is imported or called.
"""

import collections
import pickle
import types
import warnings
from pathlib import Path
from typing import Any

import torch

from ecoformer.errors import EcoformerError, first_line

__all__ = ["read_tensors"]

BUILDERS = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,
}
"""All that is ever called while a file is read."""


class _Stranger:
    """Stands for an object of any class that is not needed."""

    def __init__(self, *arguments, **named):
        pass

    def __call__(self, *arguments, **named):
        return self

    def __setstate__(self, state):
        pass

    def __setitem__(self, key, value):
        pass

    def append(self, item):
        pass

    def extend(self, items):
        pass


class _Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        return BUILDERS.get((module, name), _Stranger)


def _load(file, **options):
    return _Unpickler(file, **options).load()


_PICKLE = types.SimpleNamespace(Unpickler=_Unpickler, load=_load, __name__="tensors only")


def read_tensors(path: str | Path) -> dict[str, Any]:
    """Content of a torch or safetensors file, of which only tensors and plain values mean anything.

    Raises
    ------
    EcoformerError
        No such file, or not one of tensors by name.
    """
    path = Path(path)
    if not path.is_file():
        raise EcoformerError(f"{path}: no such file; give a checkpoint")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content = load_file(path)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of storages, whose classes torch has renamed
                content = torch.load(
                    path, map_location="cpu", weights_only=False, pickle_module=_PICKLE
                )
    except Exception as error:  # a damaged file can raise anything
        raise EcoformerError(
            f"{path}: not a file of tensors ({first_line(error)}); give a checkpoint"
        ) from error
    if not isinstance(content, dict):
        raise EcoformerError(f"{path}: not tensors by name; give a checkpoint")
    return content
