# SPDX-License-Identifier: Apache-2.0
"""Batches of calibration data, and the checkpoints of what is learned from them.

A batch is a dict of keyword arguments, a tuple of arguments, or one argument.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ecoformer.errors import EcoformerError
from ecoformer.golden.files import state_digest
from ecoformer.golden.learn.checkpoint import Checkpoint
from ecoformer.golden.learn.distill import DistillConfig
from ecoformer.golden.sites.probe import as_written

__all__ = ["run_model", "split_batches", "stage_checkpoint"]


def run_model(model: nn.Module, batch: Any) -> Any:
    """``model`` called with ``batch``, as it is written: not compiled."""
    with as_written():
        if isinstance(batch, dict):
            return model(**batch)
        return model(*batch) if isinstance(batch, tuple) else model(batch)


def split_batches(
    model: nn.Module, learning: DistillConfig, batches: Sequence
) -> tuple[Sequence, Sequence]:
    """(train, held out); an EcoformerError that names ``model`` if they are too few."""
    try:
        return learning.split(batches)
    except ValueError as error:
        raise EcoformerError(f"{type(model).__name__}: {error}") from error


def stage_checkpoint(
    folder: Path | None,
    name: str,
    model: nn.Module,
    calibration: Sequence,
    learning: DistillConfig,
    seed: int,
    **settings: Any,
) -> Checkpoint | None:
    """Checkpoint ``name`` of a stage, tied to the model and data it starts from; None without one.

    Parameters
    ----------
    folder : Path or None
    settings
        What else the stage depends on; JSON-ready.
    """
    if folder is None:
        return None
    tensors = [x for batch in calibration for x in _tensors(batch)]
    settings = {
        "learning": asdict(learning),
        "seed": seed,
        "model": state_digest(model.state_dict()),
        "calibration": state_digest({str(number): x for number, x in enumerate(tensors)}),
        **settings,
    }
    return Checkpoint(Path(folder) / f"{name}.pt", settings)


def _tensors(batch):
    values = batch.values() if isinstance(batch, dict) else batch
    values = [values] if isinstance(values, torch.Tensor) else values
    return [x for x in values if isinstance(x, torch.Tensor)]
