# SPDX-License-Identifier: Apache-2.0
"""Processes that train one network together, as ``torchrun`` starts them; gloo, on CPUs.

Every process computes a part of each batch and of each evaluation; the batch stays the whole one,
so what is learned does not depend on the number of processes, but for the order of sums.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ecoformer.errors import EcoformerError, first_line

__all__ = ["ALONE", "Group", "joined"]


class Group:
    """The processes of a training.

    Parameters
    ----------
    rank, size : int
        Number of this process, and of all.
    """

    def __init__(self, rank: int = 0, size: int = 1):
        self.rank = rank
        self.size = size

    @property
    def leads(self) -> bool:
        """Whether this process writes files, and reports."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """What this process computes of ``count`` items."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def wrap(self, model: nn.Module) -> nn.Module:
        """A module that runs ``model`` and lets gradients be summed over all processes."""
        return model if self.size == 1 else DistributedDataParallel(model)

    def apart(self, wrapped: nn.Module) -> AbstractContextManager:
        """Context in which gradients of a wrapped module stay here."""
        return nullcontext() if self.size == 1 else wrapped.no_sync()

    def copy(self, model: nn.Module) -> None:
        """Give every process the weights and hashes of the first one."""
        if self.size > 1:
            state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
            for tensor in state.values():
                dist.broadcast(tensor.reshape(-1).view(torch.uint8), 0)
            model.load_state_dict(state)

    def total(self, value: float) -> float:
        """The sum of ``value`` over all processes."""
        if self.size == 1:
            return value
        tensor = torch.tensor(value, dtype=torch.float64)
        dist.all_reduce(tensor)
        return tensor.item()

    def gather(self, rows: torch.Tensor, count: int) -> torch.Tensor:
        """All ``count`` rows, of which this process has its :meth:`share`."""
        if self.size == 1:
            return rows
        whole = rows.new_zeros(count, *rows.shape[1:])
        whole[self.share(count)] = rows
        dist.all_reduce(whole)
        return whole

    def wait(self) -> None:
        """Wait for all processes."""
        if self.size > 1:
            dist.barrier()


ALONE = Group()
"""One process."""


@contextmanager
def joined() -> Iterator[Group]:
    """The group that ``torchrun`` has started this process in, or :data:`ALONE` without it.

    Raises
    ------
    EcoformerError
        Another process has died.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE
        return
    dist.init_process_group("gloo")
    group = Group(dist.get_rank(), size)
    try:
        yield group
    except RuntimeError as error:
        if "gloo" not in str(error).lower():
            raise
        raise EcoformerError(
            f"training, process {group.rank}: another one of the {size} processes has died or "
            f"stopped ({first_line(error)}); see its message, then start again to resume"
        ) from error
    finally:
        dist.destroy_process_group()
