# SPDX-License-Identifier: Apache-2.0
"""Names of modules and tensors that do not change when a network is wrapped.

``DataParallel``, ``DistributedDataParallel`` and ``torch.compile`` put a module of their own around
another; names leave it out, at any depth.
"""

from collections.abc import Iterator

import torch
from torch import nn

__all__ = ["bare_name", "modules_by_name", "state_by_name"]

INNER = {
    "DataParallel": "module", "DistributedDataParallel": "module", "OptimizedModule": "_orig_mod",
}
"""Name of the wrapped module, by the class of the wrapper."""


def modules_by_name(model: nn.Module) -> dict[str, nn.Module]:
    """Every module of ``model`` by its name without wrappers; a wrapped one hides its wrapper."""
    return {bare_name(model, name): module for name, module in model.named_modules()}


def state_by_name(model: nn.Module) -> dict[str, torch.Tensor]:
    """The state_dict of ``model`` with names without wrappers."""
    return {bare_name(model, name): tensor for name, tensor in model.state_dict().items()}


def bare_name(model: nn.Module, name: str) -> str:
    """The name of a module or tensor of ``model`` without what wrappers add to it."""
    return ".".join(_bare_words(model, name.split(".")))


def _bare_words(part: object, words: list[str]) -> Iterator[str]:
    for word in words:
        if INNER.get(type(part).__name__) != word:
            yield word
        part = getattr(part, word, None)
