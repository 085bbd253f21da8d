"""What attention layers are given while their network runs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from ecoformer.golden.attention import SoftmaxAttention

__all__ = ["Call", "observed", "record"]


@dataclass(frozen=True)
class Call:
    """What one attention layer was given in one call.

    Parameters
    ----------
    q : Tensor [B, H, M, D]
        Queries; the very Tensor ``k`` where they are shared.
    k : Tensor [B, H, N, D]
        Keys.
    v : Tensor [B, H, N, E]
        Values.
    key_mask : bool Tensor [B, N] or None
        True for keys that count; all count when None.
    """

    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor
    key_mask: torch.Tensor | None = None

    def present(self, head: int, tokens: torch.Tensor) -> torch.Tensor:
        """The rows [n, …] of one head of ``tokens`` [B, H, N, …] that are not padding."""
        rows = tokens[:, head]
        return rows.flatten(0, 1) if self.key_mask is None else rows[self.key_mask]


@torch.no_grad()
def record(
    layers: Sequence[SoftmaxAttention], run: Callable[[], object]
) -> list[list[Call]]:
    """What every one of ``layers`` is given while ``run()`` runs their network.

    Returns
    -------
    list of list of Call
        The calls of each layer, in order.
    """
    tape = {id(layer): [] for layer in layers}

    def observers(layer):
        return lambda number, *call: tape[id(layer)].append(Call(*call))

    try:
        for layer in layers:
            layer.observer = observers(layer)
        run()
    finally:
        for layer in layers:
            layer.observer = None
    return [tape[id(layer)] for layer in layers]


@contextmanager
def observed(
    layers: Sequence[SoftmaxAttention], observer: Callable[..., None]
) -> Iterator[None]:
    """Give every one of ``layers`` the ``observer``, and take it away at the end."""
    for layer in layers:
        layer.observer = observer
    try:
        yield
    finally:
        for layer in layers:
            layer.observer = None
