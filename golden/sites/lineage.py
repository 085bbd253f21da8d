# SPDX-License-Identifier: Apache-2.0
"""What a network computes its tensors from, to tell self-attention from cross attention.

Lengths do not tell: a query may be asked of a sequence of another that happens to be as long.
"""

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from ecoformer.golden.sites.by_hand import FRESH

__all__ = ["Lineage"]


class Lineage(TorchFunctionMode):
    """Follows every tensor back to its sources: inputs, and answers of attention.

    A token's state in a network is a sum of what it began as and of what every attention before
    added. Queries and keys of self-attention are made from the same state, so their sources are the
    same, or those of one are among those of the other; two sequences have different ones, even if
    both began as the same tokens.

    Parameters
    ----------
    model : Module
        Its parameters and buffers are no sources.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self._numbers = count()
        self._sources: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
        for tensor in (*model.parameters(), *model.buffers()):
            self._sources[tensor] = frozenset()

    def sources(self, tensor: torch.Tensor) -> frozenset[int]:
        """Numbers of the sources of ``tensor``, which is one itself if nothing is known of it."""
        if tensor not in self._sources:
            self._sources[tensor] = frozenset({next(self._numbers)})
        return self._sources[tensor]

    def are_of_one(self, query: torch.Tensor, key: torch.Tensor) -> bool:
        """Whether ``query`` and ``key`` are made from the state of the same sequence."""
        asking, asked = self.sources(query), self.sources(key)
        return bool(asking) == bool(asked) and (asking <= asked or asked <= asking)

    def __torch_function__(
        self, func: Callable, types: Sequence, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        name = getattr(func, "__name__", "")
        known = [self.sources(x) for x in given if name not in FRESH]
        result = func(*args, **(kwargs or {}))
        made = [x for x in tree_leaves(result) if isinstance(x, torch.Tensor)]
        for tensor in given[:1] if name == "__setitem__" else made:
            self._sources[tensor] = frozenset().union(*known)
        return result
