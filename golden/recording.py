# SPDX-License-Identifier: Apache-2.0
"""Inputs of attention layers, recorded while their network runs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from ecoformer.golden.attention import SoftmaxAttention

__all__ = ["Call", "observed", "record"]


@dataclass(frozen=True)
class Call:
    """Inputs of one call of an attention layer.

    Parameters
    ----------
    q : Tensor [B, H, M, D]
        Queries; the same Tensor as ``k`` where they are shared.
    k : Tensor [B, H, N, D]
        Keys.
    v : Tensor [B, H, N, E]
        Values.
    key_mask : bool Tensor [B, N] or None
        True for keys that count; all count when None.
    cross : bool
        Whether queries are of another sequence than keys, be it as long.
    """

    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor
    key_mask: torch.Tensor | None = None
    cross: bool = False

    @property
    def is_of_itself(self) -> bool:
        """Whether queries and keys are of the same tokens, all of a sequence."""
        return not self.cross and self.q.shape[2] == self.k.shape[2]

    @property
    def vectors(self) -> dict[str, torch.Tensor]:
        """What is hashed, by the name that the engine has for it (`spec.sides`)."""
        return {"x": self.k, "q": self.q, "k": self.k}

    def present(self, head: int, tokens: torch.Tensor) -> torch.Tensor:
        """The rows [n, …] of one head of ``tokens`` [B, H, N, …] that are not padding.

        Of queries of other tokens than the keys, none is known to be padding.
        """
        rows = tokens[:, head]
        if self.key_mask is None or tokens is self.q and not self.is_of_itself:
            return rows.flatten(0, 1)
        return rows[self.key_mask]


@torch.no_grad()
def record(
    layers: Sequence[SoftmaxAttention], run: Callable[[], object]
) -> list[list[Call]]:
    """Record the inputs of every one of ``layers`` while ``run()`` runs their network.

    Whatever the precision of the network, they are recorded as float32, in which hashes learn.

    Returns
    -------
    list of list of Call
        The calls of each layer, in order.
    """
    tape: dict[int, list[Call]] = {id(layer): [] for layer in layers}

    def observers(layer):
        def observe(number, q, k, v, key_mask):
            tape[id(layer)].append(_call(q, k, v, key_mask, layer.cross))

        return observe

    try:
        for layer in layers:
            layer.observer = observers(layer)
        run()
    finally:
        for layer in layers:
            layer.observer = None
    return [tape[id(layer)] for layer in layers]


def _call(q, k, v, key_mask, cross):
    keys = k.float()
    return Call(keys if q is k else q.float(), keys, v.float(), key_mask, cross)


@contextmanager
def observed(
    layers: Sequence[SoftmaxAttention], observer: Callable[..., None]
) -> Iterator[None]:
    """Set the ``observer`` of every one of ``layers``, and remove it at the end."""
    for layer in layers:
        layer.observer = observer
    try:
        yield
    finally:
        for layer in layers:
            layer.observer = None
