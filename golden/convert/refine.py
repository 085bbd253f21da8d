# SPDX-License-Identifier: Apache-2.0
"""All hashes of a converted network, or all its weights, trained against the original's outputs."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ecoformer.golden.attention import cores_of
from ecoformer.golden.convert.batches import run_model, split_batches, stage_checkpoint
from ecoformer.golden.convert.readouts import readout
from ecoformer.golden.files import state_digest
from ecoformer.golden.learn.distill import DistillConfig
from ecoformer.golden.learn.together import distil_outputs
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
    is a :class:`golden.learn.cuda_graphs.GraphedLoss`: batches should have few different shapes.

    Parameters
    ----------
    model : Module
        Converted; trained in place.
    calibration : list
        Batches, as in :func:`convert`, where the model is.
    learning : DistillConfig
        All but ``objective`` and ``learn_offset`` counts.
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
        Held-out losses.

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
    train, held_out = split_batches(model, learning, calibration)
    return distil_outputs(
        model, lambda network, batch: read(run_model(network, batch), batch), train, held_out,
        learning, seed, original, parameters, checkpoint, progress,
        "all hashes together" if parameters is None else "all weights",
    )


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
