# SPDX-License-Identifier: Apache-2.0
"""All hashes of a converted network, or all its weights, trained against the original's outputs."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ecoformer.errors import EcoformerError
from ecoformer.golden.attention import cores_of
from ecoformer.golden.convert.batches import run_model, split_batches, stage_checkpoint
from ecoformer.golden.convert.cuda_graphs import GraphedLoss, compiled
from ecoformer.golden.convert.readouts import readout
from ecoformer.golden.files import state_digest
from ecoformer.golden.learn.descent import descend
from ecoformer.golden.learn.distill import DistillConfig
from ecoformer.progress import SILENT, Progress

__all__ = ["everything", "refine"]


def refine(
    model: nn.Module,
    calibration: Sequence,
    learning: DistillConfig,
    read: Callable[[Any, Any], torch.Tensor] | None = None,
    seed: int = 0,
    parameters: list | None = None,
    progress: Progress = SILENT,
    folder: Path | None = None,
    original: nn.Module | None = None,
) -> list[float]:
    """Train a converted network, without labels, to answer what the original answers.

    Within ``torch.autocast`` the network runs in its precision, all but the hashes. On a GPU a step
    is a :class:`golden.convert.cuda_graphs.GraphedLoss`: batches should have few different shapes.

    Parameters
    ----------
    model : Module
        Converted; trained in place.
    calibration : list
        Batches, as in :func:`convert`, where the model is.
    learning : DistillConfig
        ``steps``, ``lr`` and ``held_out`` count.
    read : callable or None
        ``read(output, batch)``: the Tensor [B, …] of an output that has to agree;
        :func:`readout` when None.
    seed : int
    parameters : list or None
        What is trained: Parameters, or groups of them with an ``lr`` of their own; every hash and
        offset when None, no other weight.
    progress : Progress
        Stage ``all hashes together``, or ``all weights`` where parameters are given.
    folder : Path or None
        Where a checkpoint is kept, ``together.pt``; a second call with the same arguments
        resumes from it.
    original : Module or None
        The teacher, on the same device; when None the model itself with softmax attention, which
        is the original as long as no other weight has been trained.

    Returns
    -------
    list of float
        Held-out losses: squared error over the square of the original's output.

    Raises
    ------
    EcoformerError
        Fewer than two batches, an output with nothing to compare, a loss that is not finite, or
        a checkpoint that is damaged or of other arguments.
    """
    read = read or readout
    settings = {
        "trained": "hashes" if parameters is None else _sizes(parameters),
        "readout": getattr(read, "__qualname__", type(read).__name__),
        **({} if original is None else {"original": state_digest(original.state_dict())}),
    }
    checkpoint = stage_checkpoint(
        folder, "together", model, calibration, learning, seed, **settings
    )
    cores = cores_of(model)
    stage = "all hashes together" if parameters is None else "all weights"
    if parameters is None:
        parameters = [p for core in cores for p in core.parameters()]
    if original is None:
        original = deepcopy(model).requires_grad_(False)
        for core in cores_of(original):
            core.exact = True
    else:
        original = deepcopy(original).requires_grad_(False).eval()
    train, held_out = split_batches(model, learning, calibration)

    def loss(batch):
        with torch.no_grad():
            target = read(run_model(original, batch), batch).float()
        error = read(run_model(model, batch), batch).float() - target
        return error.square().sum() / target.square().sum()

    fast: AbstractContextManager = nullcontext()
    if next(model.parameters()).is_cuda:
        loss, fast = GraphedLoss(model, loss), compiled(cores)

    def after_step():
        for core in cores:
            core.limit_offset()

    groups = parameters if isinstance(parameters[0], dict) else [{"params": parameters}]
    trained = {id(p) for group in groups for p in group["params"]}
    frozen = [p for p in model.parameters() if p.requires_grad and id(p) not in trained]
    for p in frozen:
        p.requires_grad_(False)
    try:
        with fast:
            return descend(
                groups, loss, train, held_out, steps=learning.steps, lr=learning.lr,
                generator=torch.Generator().manual_seed(seed), after_step=after_step,
                checkpoint=checkpoint, progress=progress, stage=stage,
            )
    except FloatingPointError as error:
        raise EcoformerError(f"{type(model).__name__}: {error}") from error
    finally:
        for p in frozen:
            p.requires_grad_(True)


def _sizes(parameters):
    """What identifies a list of parameters in a checkpoint: their number, by group."""
    if parameters and isinstance(parameters[0], dict):
        return [[len(group["params"]), group.get("lr")] for group in parameters]
    return len(parameters)


def everything(model: nn.Module, hash_lr: float, lr: float) -> list[dict]:
    """All parameters of a converted network for :func:`refine`, with peak learning rates."""
    hashes = [p for core in cores_of(model) for p in core.parameters()]
    own = {id(p) for p in hashes}
    others = [p for p in model.parameters() if id(p) not in own]
    return [{"params": hashes, "lr": hash_lr}, {"params": others, "lr": lr}]
