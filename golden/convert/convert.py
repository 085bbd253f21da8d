# SPDX-License-Identifier: Apache-2.0
"""Any network that attends, converted: EcoFormer attention in place of softmax, hashes learned.

The network's own weights stay as they are. Hashes are learned layer by layer, each on what the
layers before it, already replaced, produce; then, if wanted, all together against the outputs of
the original (:mod:`golden.convert.refine`).
"""

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ecoformer.errors import EcoformerError
from ecoformer.golden.attention import cores_of
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.convert.batches import run_model, split_batches, stage_checkpoint
from ecoformer.golden.convert.same import answers, check_same
from ecoformer.golden.kinds import KINDS
from ecoformer.golden.learn.distill import (
    DistillConfig,
    distil_layer,
    distil_layers,
    exact_outputs,
    layer_loss,
    start_hashes,
)
from ecoformer.golden.recording import observed, record
from ecoformer.golden.sites.choosing import choose_sites, find_sites
from ecoformer.golden.sites.placing import fill_sites, filled_sites
from ecoformer.progress import SILENT, Progress

__all__ = ["convert", "enough_batches", "learn_layers", "replace_attention"]

FEWEST = 4
"""Batches with which the search for how many are enough begins."""
ENOUGH = 0.01
"""Share of its held-out loss that a layer must lose with twice the data for it to be worth it."""


def convert(
    model: nn.Module,
    config: AttentionConfig,
    calibration: Sequence,
    learning: DistillConfig | None = None,
    seed: int = 0,
    progress: Progress = SILENT,
    folder: Path | None = None,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    kinds: Sequence[str] = tuple(KINDS),
) -> nn.Module:
    """A copy of ``model`` with EcoFormer attention in place of every softmax attention.

    :func:`replace_attention`, then :func:`learn_layers`.

    Parameters
    ----------
    model : Module
        That calls ``scaled_dot_product_attention`` or ``torch.nn.MultiheadAttention``, wherever it
        does. Stays as it is.
    config : AttentionConfig
    calibration : list
        At least two batches, each what the model is called with: a dict of keyword arguments, a
        tuple of arguments, or one argument. The last of them are held out.
    learning : golden.learn.distill.DistillConfig or None
        Hyper-parameters; the defaults when None.
    seed : int
        The same seed gives the same hashes.
    progress : Progress
    folder : Path or None
        Where a checkpoint is kept, ``layers.pt``; a second call with the same arguments resumes
        from it.
    only, skip : list of str
        Patterns of the paths of what is converted and what is left; all is converted without.
    kinds : list of str
        Kinds of attention that are converted (:data:`golden.kinds.KINDS`).

    Returns
    -------
    Module
        In evaluation mode. It trains, and its hashes too after ``core.requires_grad_()`` for its
        :func:`golden.attention.cores_of`.

    Raises
    ------
    EcoformerError
        Attention that cannot be replaced and is not to be left, calibration data no hash can be
        learned from, or a checkpoint that is damaged or of other arguments.
    """
    learning = learning or DistillConfig()
    split_batches(model, learning, calibration)  # refused now, not after minutes
    converted = replace_attention(model, config, calibration[0], seed, only, skip, kinds)
    learn_layers(converted, calibration, learning, seed, progress, folder)
    return converted


def replace_attention(
    model: nn.Module,
    config: AttentionConfig,
    batch: Any,
    seed: int = 0,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    kinds: Sequence[str] = tuple(KINDS),
) -> nn.Module:
    """A copy of ``model`` with EcoFormer attention in place of every softmax attention.

    Its hashes are random, and ``exact`` is set: until a layer has learned, it computes softmax, and
    so the network answers ``batch`` as before; this is checked.

    Parameters
    ----------
    model, config, seed, only, skip, kinds
        Same as in :func:`convert`.
    batch : dict, tuple or other
        One batch, to find the attention with.
    """
    if cores_of(model):
        raise EcoformerError(f"{type(model).__name__}: converted already; give the original")
    model = deepcopy(model).eval()
    before = answers(model, batch)
    sites = find_sites(model, lambda: run_model(model, batch))
    sites = choose_sites(sites, config, only, skip, type(model).__name__, kinds)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        cores = fill_sites(model, sites, config)
    for core in cores:
        core.exact = True
    called: set[int] = set()
    with observed(cores, lambda layer, *call: called.add(layer)):
        check_same(before, answers(model, batch), type(model).__name__)
    if missed := [core.site.name for core in cores if core.layer not in called]:
        raise EcoformerError(
            f"{type(model).__name__}, {missed[0]}: its calls cannot be replaced; leave it with skip"
        )
    return model


def learn_layers(
    model: nn.Module,
    calibration: Sequence,
    learning: DistillConfig,
    seed: int = 0,
    progress: Progress = SILENT,
    folder: Path | None = None,
) -> list[list[float]]:
    """Learn the hashes of a network of :func:`replace_attention`, in place, layer by layer.

    Parameters
    ----------
    model, calibration, learning, seed, progress, folder
        Same as in :func:`convert`.

    Returns
    -------
    list of list of float
        Held-out losses of every layer, in the order of use.
    """
    checkpoint = stage_checkpoint(folder, "layers", model, calibration, learning, seed)
    cores = cores_of(model)
    generator = torch.Generator().manual_seed(seed)

    def run():
        for batch in calibration:
            run_model(model, batch)

    targets = [exact_outputs(core, calls) for core, calls in zip(cores, record(cores, run))]
    names = [f"{type(model).__name__}, {site.path}" for site in filled_sites(model)]
    return distil_layers(cores, run, targets, learning, generator, names, progress, checkpoint)


def enough_batches(
    model: nn.Module,
    config: AttentionConfig,
    calibration: Sequence,
    held_out: Sequence,
    learning: DistillConfig | None = None,
    seed: int = 0,
    progress: Progress = SILENT,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    kinds: Sequence[str] = tuple(KINDS),
) -> tuple[int, list[tuple[int, float]]]:
    """How many batches of ``calibration`` are enough to learn hashes layer by layer.

    The attention in the middle of the network learns from 4, 8, 16, … batches until twice as many
    take less than :data:`ENOUGH` off its loss on ``held_out``.

    Parameters
    ----------
    model, config, learning, seed, only, skip, kinds
        Same as in :func:`convert`.
    calibration, held_out : list
        Batches, at least two and at least one.
    progress : Progress
        Stage ``calibration batches``.

    Returns
    -------
    (int, list of (int, float))
        Number of batches, and the held-out loss with every number tried.
    """
    learning = learning or DistillConfig()
    split_batches(model, learning, calibration)
    model = replace_attention(model, config, calibration[0], seed, only, skip, kinds)
    middle = len(cores_of(model)) // 2
    core, site = cores_of(model)[middle], filled_sites(model)[middle]

    def record_core(batches):
        (calls,) = record([core], lambda: [run_model(model, batch) for batch in batches])
        return calls, exact_outputs(core, calls)

    test_calls, test_targets = record_core(held_out)
    tried = []
    count = min(FEWEST, len(calibration))
    while True:
        progress.update("calibration batches", count, len(calibration))
        calls, targets = record_core(calibration[:count])
        generator = torch.Generator().manual_seed(seed)
        try:
            start_hashes(core, calls, generator)
            core.exact = False
            distil_layer(core, calls, targets, learning, generator)
            tried.append((count, layer_loss(core, test_calls, test_targets, learning)))
        except (ValueError, FloatingPointError) as error:
            raise EcoformerError(f"{type(model).__name__}, {site.path}: {error}") from error
        core.exact = True
        if len(tried) > 1 and tried[-1][1] > (1 - ENOUGH) * tried[-2][1]:
            return tried[-2][0], tried
        if count == len(calibration):
            return count, tried
        count = min(2 * count, len(calibration))
