# SPDX-License-Identifier: Apache-2.0
"""What a network computes itself around attention, noticed while it runs.

Three things: masks that hold learned numbers, functions that attend and are not known, and softmax
attention written out. Of the latter, scores are a product of two tensors neither of which is a
weight, whatever happens to them until their softmax; attention is the product of that softmax with
a third tensor.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

__all__ = ["HandWritten"]

PRODUCTS = {"matmul", "__matmul__", "__rmatmul__", "bmm", "mm", "baddbmm", "einsum", "linear"}
NORMALISERS = {"softmax", "exp"}
VIEWS = {
    "__get__", "__getitem__", "chunk", "contiguous", "detach", "expand", "flatten", "float", "half",
    "permute", "reshape", "select", "split", "squeeze", "t", "to", "transpose", "type", "unbind",
    "unflatten", "unsqueeze", "view",
}
"""Functions whose result is a weight if what they are given is one."""
FRESH = {"arange", "empty_like", "full_like", "new_full", "new_ones", "new_zeros", "ones_like",
         "rand_like", "randn_like", "zeros_like"}
"""Functions whose result depends on the shape and type alone of what they are given."""


class HandWritten(TorchFunctionMode):
    """Notices attention that is not computed by the functions that are known to attend.

    Parameters
    ----------
    model : Module
    found : callable
        Called as ``found(weights, steps)`` with the attention weights [..., M, N] and the names of
        the functions from the scores to them, each once.
    called : callable
        Called as ``called(name)`` with the name of another function that attends.
    """

    def __init__(
        self,
        model: nn.Module,
        found: Callable[[torch.Tensor, list[str]], None],
        called: Callable[[str], None],
    ):
        super().__init__()
        self.found = found
        self.called = called
        self.constant: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
        self.learned: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
        self.scores: WeakTensorKeyDictionary = WeakTensorKeyDictionary()  # to lists of steps
        self.shares: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
        self._mark(self.constant, [*model.parameters(), *model.buffers()], True)
        self._mark(self.learned, model.parameters(), True)

    def is_learned(self, mask: torch.Tensor | None) -> bool:
        """Whether the numbers of ``mask`` come from parameters, be they all 0."""
        return mask is not None and mask in self.learned

    def __torch_function__(
        self, func: Callable, types: Sequence, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        if "attention" in name or "attn" in name:
            self.called(name)
        given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        made = [x for x in tree_leaves(result) if isinstance(x, torch.Tensor)]
        if given and made:
            self._follow(name, given, made)
        return result

    def _follow(self, name, given, made):
        if name not in PRODUCTS | FRESH and any(x in self.learned for x in given):
            self._mark(self.learned, [x for x in made if x.is_floating_point()], True)
        if name in VIEWS and given[0] in self.constant:
            self._mark(self.constant, made, True)
        elif name in PRODUCTS:
            self._multiply(name, given, made)
        elif scores := next((self.scores[x] for x in given if x in self.scores), None):
            steps = scores if name in scores or name in VIEWS else [*scores, name]
            self._mark(self.shares if name in NORMALISERS else self.scores, made, steps)
        elif shares := next((self.shares[x] for x in given if x in self.shares), None):
            self._mark(self.shares, made, shares)

    def _multiply(self, name, given, made):
        free = [x for x in given if x not in self.constant]
        shares = next((x for x in free if x in self.shares), None)
        if shares is not None and len(free) > 1:
            self.found(shares, self.shares.pop(shares))
        elif len(free) > 1:
            self._mark(self.scores, made, [name])

    @staticmethod
    def _mark(marked, tensors, value):
        for tensor in tensors:
            marked[tensor] = value
