# SPDX-License-Identifier: Apache-2.0
"""Reads pictures batch by batch, in worker processes ahead of their use."""

from __future__ import annotations

import multiprocessing
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from ecoformer.errors import EcoformerError, first_line
from ecoformer.golden.pictures.picture import Unreadable

__all__ = ["Source", "read_batches"]

AHEAD = 4
"""Batches that a worker has read before they are asked for."""


class Source(Protocol):
    """Where pictures come from; a copy of it goes to every worker."""

    def sample(self, key: Any) -> np.ndarray:
        """The picture of ``key``, uint8 [channels, side, side]; an `Unreadable` if it has none."""

    def grey(self) -> np.ndarray:
        """What takes the place of such a picture."""


def read_batches(
    source: Source, batches: Sequence[Sequence], workers: int = 0
) -> Iterator[tuple[torch.Tensor, dict[Any, str]]]:
    """The pictures of ``batches``, in their order, whatever the number of workers.

    Workers are forks of a process that has neither threads nor anything of this one's memory.

    Parameters
    ----------
    source : Source
    batches : sequence of sequence of key
    workers : int
        Processes; 0: the pictures are read here.

    Yields
    ------
    images : uint8 Tensor [B, channels, side, side]
    reasons : dict of key to str
        Why a picture is grey.

    Raises
    ------
    EcoformerError
        A worker has died.
    """
    workers = min(workers, len(batches))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This DataLoader will create")  # more than cores
        loader = DataLoader(
            _Readings(source), batch_sampler=list(map(list, batches)), collate_fn=_collate,
            num_workers=workers, prefetch_factor=AHEAD if workers else None,
            multiprocessing_context=_forkserver() if workers else None,
            generator=torch.Generator(),  # leave the global one alone
        )
        readings = iter(loader)
    try:
        yield from readings
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise EcoformerError(
            f"a process that reads pictures has died ({first_line(error)}); free memory, or give "
            "fewer --workers"
        ) from error


class _Readings(Dataset):
    """Attempts to read the pictures of a source."""

    def __init__(self, source):
        self.source = source

    def __getitem__(self, key):
        try:
            return key, self.source.sample(key), ""
        except Unreadable as error:
            return key, self.source.grey(), str(error)


def _collate(readings):
    images = torch.from_numpy(np.stack([pixels for _, pixels, _ in readings]))
    return images, {key: reason for key, _, reason in readings if reason}


def _forkserver():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context
