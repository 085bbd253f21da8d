# SPDX-License-Identifier: Apache-2.0
"""A loss and its gradient as CUDA graphs: a step of many small operations becomes two launches."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import MethodType
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from ecoformer.golden.attention import EcoFormerAttention

__all__ = ["GraphedLoss", "compiled"]


@contextmanager
def compiled(cores: Sequence[EcoFormerAttention]) -> Iterator[None]:
    """Meanwhile the attention of ``cores`` is a few kernels, none of which waits for the host."""
    forward = torch.compile(EcoFormerAttention.forward, dynamic=True)
    for core in cores:
        core.forward = MethodType(forward, core)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for core in cores:
            del core.forward


class GraphedLoss:
    """The loss of a batch, recorded when the first batch of a shape comes and then replayed.

    Launching the operations of a small network takes longer than running them. Where no gradient
    is asked for, the loss is computed as it is written.

    Parameters
    ----------
    model : Module
        On a GPU, its attention :func:`compiled`; what the loss depends on.
    loss : callable
        ``loss(batch)`` gives a scalar. A batch is a Tensor, or a dict or tuple with Tensors.
    """

    def __init__(self, model: nn.Module, loss: Callable[[Any], torch.Tensor]):
        self.model = model
        self.loss = loss
        self.recorded: dict[tuple, Callable[..., torch.Tensor]] = {}
        self.pool = torch.cuda.graph_pool_handle()  # only one graph is ever in use

    def __call__(self, batch: Any) -> torch.Tensor:
        if not torch.is_grad_enabled():
            return self.loss(batch)
        leaves, form = tree_flatten(batch)
        tensors = [x for x in leaves if isinstance(x, torch.Tensor)]
        shape = tuple(
            (x.shape, x.dtype) if isinstance(x, torch.Tensor) else x for x in leaves
        )
        if (form, shape) not in self.recorded:
            self.recorded[form, shape] = self._record(leaves, form)
        return self.recorded[form, shape](*tensors)

    def _record(self, leaves, form):
        # A graph's inputs are overwritten by those of later batches.
        own = tuple(x.clone() for x in leaves if isinstance(x, torch.Tensor))
        kind = "cuda"
        with torch.autocast(
            kind, torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind),
            cache_enabled=False,
        ):
            return torch.cuda.make_graphed_callables(
                _Loss(self.model, self.loss, leaves, form), own, allow_unused_input=True,
                pool=self.pool,
            )


class _Loss(nn.Module):
    """A loss as a function of the Tensors of a batch, and of the parameters of a network."""

    def __init__(self, model, loss, leaves, form):
        super().__init__()
        self.model = model
        self.loss = loss
        self.form = form
        self.tensors = [i for i, x in enumerate(leaves) if isinstance(x, torch.Tensor)]
        self.others = [None if isinstance(x, torch.Tensor) else x for x in leaves]

    def forward(self, *tensors):
        leaves = list(self.others)
        for index, tensor in zip(self.tensors, tensors, strict=True):
            leaves[index] = tensor
        return self.loss(tree_unflatten(leaves, self.form))
