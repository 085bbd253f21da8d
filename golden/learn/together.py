# SPDX-License-Identifier: Apache-2.0
"""Learning the hashes of all layers together, from what the whole network answers.

A layer's own error counts every token and every value alike; the network's answer counts what is
made of them. So the layers' hashes descend together, straight through their signs, on how far the
logits are from those of the network before its attention was replaced. It needs no labels, and no
other weight moves.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from typing import Any

import torch
from torch import nn

from ecoformer.errors import EcoformerError
from ecoformer.golden.attention import cores_of
from ecoformer.golden.learn.checkpoint import Checkpoint
from ecoformer.golden.learn.cuda_graphs import GraphedLoss, compiled
from ecoformer.golden.learn.descent import descend
from ecoformer.golden.learn.disagreement import DISAGREEMENTS
from ecoformer.golden.learn.distill import DistillConfig
from ecoformer.golden.learn.networks import learn_hashes
from ecoformer.golden.networks.network import Network
from ecoformer.progress import SILENT, Progress

__all__ = ["NETWORK", "distil_network", "distil_outputs"]

NETWORK = "network"
"""Name of this learner."""


def distil_network(
    model: Network,
    teacher: Network | None,
    batches: Sequence[torch.Tensor],
    config: DistillConfig,
    seed: int,
) -> list[float]:
    """Learn all hashes, thresholds and offsets of ``model`` from the logits of ``teacher``.

    They start as drawn: orthogonal rows of a linear hash, random ones of a kernelized hash.

    Parameters
    ----------
    model : VisionTransformer or ImagePyramid
        With EcoFormer attention and shared queries; changed in place.
    teacher : VisionTransformer, ImagePyramid or None
        The network before the swap; when None, ``model`` itself with softmax attention.
    batches : list of uint8 Tensor [B, channels, height, width]
        Training images, at least two batches.
    config : DistillConfig
        All but ``objective`` and ``learn_offset`` counts.
    seed : int
        The same seed gives the same hashes.

    Returns
    -------
    list of float
        Held-out losses, as :func:`distil_outputs` gives them.

    Raises
    ------
    EcoformerError
        Fewer than two batches, or a loss that is not finite.
    """
    attention = model.attention_config
    if attention is None:
        raise ValueError("model must have EcoFormer attention")
    start = "random" if attention.has_kernel else "orthogonal"
    learn_hashes(model, batches[0], seed, learner=start)
    try:
        train, held_out = config.split(batches)
    except ValueError as error:
        raise EcoformerError(f"{type(model).__name__}: {error}") from error
    return distil_outputs(
        model, lambda network, batch: network(batch), train, held_out, config, seed, teacher
    )


def distil_outputs(
    model: nn.Module,
    answer: Callable[[nn.Module, Any], torch.Tensor],
    train: Sequence,
    held_out: Sequence,
    config: DistillConfig,
    seed: int,
    original: nn.Module | None = None,
    parameters: list | None = None,
    checkpoint: Checkpoint | None = None,
    progress: Progress = SILENT,
    stage: str = "",
) -> list[float]:
    """Train a network whose attention was replaced to answer what it answered before.

    On a GPU a step is a :class:`golden.learn.cuda_graphs.GraphedLoss`: batches should have few
    different shapes.

    Parameters
    ----------
    model : Module
        Trained in place, in the mode that it is in.
    answer : callable
        ``answer(network, batch)``: the Tensor [B, …] that has to agree.
    train, held_out : list
        Batches, where the model is.
    config : DistillConfig
        ``steps``, ``lr``, ``disagreement`` and ``clip`` count.
    seed : int
        Of the order of batches.
    original : Module or None
        The teacher, on the same device; when None the model itself with softmax attention, which
        is the original as long as no other weight has been trained.
    parameters : list or None
        What is trained: Parameters, or groups of them with an ``lr`` of their own; every hash and
        offset when None, no other weight.
    checkpoint : Checkpoint or None
        From which an interrupted call resumes.
    progress : Progress
    stage : str
        Name there.

    Returns
    -------
    list of float
        Held-out losses.

    Raises
    ------
    EcoformerError
        A loss that is not finite, or a checkpoint that is damaged or of other arguments.
    """
    cores = cores_of(model)
    if parameters is None:
        parameters = [p for core in cores for p in core.parameters()]
    if original is None:
        original = deepcopy(model).requires_grad_(False)
        for core in cores_of(original):
            core.exact = True
    else:
        original = deepcopy(original).requires_grad_(False).eval()

    disagree = DISAGREEMENTS[config.disagreement]

    def loss(batch):
        with torch.no_grad():
            target = answer(original, batch).float()
        return disagree(answer(model, batch).float(), target)

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
                groups, loss, train, held_out, steps=config.steps, lr=config.lr,
                generator=torch.Generator().manual_seed(seed), after_step=after_step,
                clip=config.clip, checkpoint=checkpoint, progress=progress, stage=stage,
            )
    except FloatingPointError as error:
        raise EcoformerError(f"{type(model).__name__}: {error}") from error
    finally:
        for p in frozen:
            p.requires_grad_(True)
