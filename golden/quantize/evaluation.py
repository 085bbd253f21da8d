# SPDX-License-Identifier: Apache-2.0
"""A trained network on the engine: what is exported, and how accurate it is in integers."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ecoformer.golden.integer.engine import IntegerEngine
from ecoformer.golden.learn.data import DataSet, Split
from ecoformer.golden.learn.fit import predict
from ecoformer.golden.learn.predictions import IGNORED
from ecoformer.golden.networks.network import Network
from ecoformer.golden.quality.measure import assess
from ecoformer.golden.quantize.calibration import calibrate, code_disagreement
from ecoformer.golden.quantize.inference import (
    EngineAttention,
    override_attention,
    packets,
)
from ecoformer.golden.recording import record
from ecoformer.progress import SILENT, Progress
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.workload import Workload

__all__ = ["CheckedEngine", "export", "predict_in_integers", "recorded_workload"]

CALIBRATION_IMAGES = 128
"""Training images that set value scales and thresholds."""
RECORDED_IMAGES = 1
"""Held-out images whose tokens become test vectors; plain Verilog simulators are slow."""


def export(
    config: Config, model: Network, data: DataSet, report: bool = False
) -> tuple[ParameterImage, Workload, dict]:
    """Parameter image of ``model``, test vectors from real images, and the quality of both.

    Parameters
    ----------
    config : Config
    model : VisionTransformer, ImagePyramid or Decoder
        With EcoFormer attention.
    data : DataSet
        Calibrates on training images; reports on held-out ones.
    report : bool
        Whether the hash of every head is assessed, too.

    Returns
    -------
    image : ParameterImage
    workload : Workload
        Every layer and head of some held-out images.
    figures : dict
        Held-out accuracy of float and integer network, changed predictions (of text those of every
        character), and the share of code
        bits that differ, per layer and head; with ``report`` also ``quality``, what
        :func:`golden.quality.measure.assess` finds. JSON-ready.
    """
    layers, held_out = model.attention_layers(), data.held_out
    image = calibrate(config, layers, _tape(model, data.train))
    float_labels = predict(model, held_out.images)
    engine = IntegerEngine(config, image)
    integer_labels = predict_in_integers(config, model, image, engine, held_out)
    tape = _tape(model, held_out)
    rates = [np.array(heads) for heads in code_disagreement(config, layers, image, tape)]
    there = held_out.labels != IGNORED
    figures = {
        f"held_out_{data.unit}": len(held_out),
        "float_accuracy": _share((float_labels == held_out.labels)[there]),
        "integer_accuracy": _share((integer_labels == held_out.labels)[there]),
        "changed_predictions": int((float_labels != integer_labels)[there].sum()),
        "code_disagreement": [heads.tolist() for heads in rates],
        "mean_code_disagreement": float(np.concatenate(rates).mean()),
    }
    if report:
        figures["quality"] = [head.as_dict() for head in assess(layers, tape)]
    return image, recorded_workload(config, model, image, held_out), figures


def predict_in_integers(
    config: Config,
    model: Network,
    image: ParameterImage,
    engine: Any,
    part: Split,
    observer: Callable[[Workload, list[np.ndarray]], None] | None = None,
) -> torch.Tensor:
    """Labels that ``model`` gives the images of ``part`` with its attention on ``engine``."""
    layers = model.attention_layers()
    with override_attention(layers, EngineAttention(config, image, layers, engine, observer)):
        return predict(model, part.images)


def recorded_workload(
    config: Config, model: Network, image: ParameterImage, part: Split
) -> Workload:
    """The packets of every layer and head of the first images of ``part``."""
    tape = _tape(model, part, RECORDED_IMAGES)
    return packets(config, image, model.attention_layers(), tape)


def _tape(model, part, count=CALIBRATION_IMAGES):
    """What the layers see of the first images; of contexts that are shorter, without padding."""
    tape = record(model.attention_layers(), lambda: model(part.images[:count]))
    labels = part.labels[:count]
    if labels.ndim == 1:
        return tape
    return [[replace(call, key_mask=labels != IGNORED) for call in calls] for calls in tape]


class CheckedEngine:
    """An engine whose every result is compared with the integer model, word by word.

    Parameters
    ----------
    config : Config
    image : ParameterImage
    engine : object
        With ``attend(workload)``.
    total : int
        Sequences that all calls together will have.
    progress : Progress
        Stage ``sequences``, updated after every call.

    Members
    -------
    words, mismatches, sequences, tokens : int
        Counted over all calls.
    """

    def __init__(
        self,
        config: Config,
        image: ParameterImage,
        engine: Any,
        total: int = 0,
        progress: Progress = SILENT,
    ):
        self.engine = engine
        self.reference = IntegerEngine(config, image)
        self.total = total
        self.progress = progress
        self.words = self.mismatches = self.sequences = self.tokens = 0

    def attend(self, workload: Workload) -> list[np.ndarray]:
        """Results of every sequence, as the checked engine gives them."""
        results = self.engine.attend(workload)
        expected = self.reference.attend(workload)
        self.words += sum(map(np.size, expected))
        self.mismatches += sum(
            int((got != want).sum()) for got, want in zip(results, expected, strict=True)
        )
        self.sequences += len(workload)
        self.tokens += int(workload.answers.sum())
        self.progress.update("sequences", self.sequences, self.total)
        return results


def _share(flags):
    return float(flags.double().mean())
