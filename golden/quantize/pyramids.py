# SPDX-License-Identifier: Apache-2.0
"""A published network on the engine: its hardware form, its engine, its parameters."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ecoformer.errors import EcoformerError
from ecoformer.golden.hashing import KernelHash
from ecoformer.golden.integer.engine import IntegerEngine
from ecoformer.golden.networks.pyramid import Pyramid, make_pyramid
from ecoformer.golden.quantize.calibration import calibrate, code_disagreement, set_numbers
from ecoformer.golden.quantize.inference import EngineAttention, override_attention
from ecoformer.golden.recording import Call, record
from ecoformer.golden.weights import FLOAT
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.workload import Workload

__all__ = ["IN_HARDWARE", "engine_of", "export_pyramid", "hardware_form"]

IN_HARDWARE: dict[str, Any] = {"weights": "int8", "tie": "positive", "bandwidth": "calibrated"}
"""What changes in the attention of a published network when it goes to hardware."""
BUS_BYTES = 8


def engine_of(model: Pyramid, tokens: int) -> Config:
    """The engine that runs the EcoFormer attention of ``model`` on sequences of ``tokens``.

    Raises
    ------
    EcoformerError
        There is no such attention, its heads are of several sizes, or no engine can have its shape.
    """
    cores = model.cores
    if not cores:
        raise EcoformerError(
            "network: softmax attention in every stage; nothing of it runs on an engine"
        )
    dims = sorted({core.hash.head_dim for core in cores})
    if len(dims) > 1:
        raise EcoformerError(f"network: heads of {dims} elements; one engine takes one size")
    attention = replace(model.ecoformer, **IN_HARDWARE)
    sets = sum(numbers.size for numbers in set_numbers(cores))
    try:
        return Config(
            head_dim=dims[0], value_dim=dims[0], max_tokens=tokens, parameter_sets=sets,
            bus_bytes=BUS_BYTES, **attention.in_hardware,
        )
    except ValueError as error:
        raise EcoformerError(f"network: no engine can run it: {error}") from error


@torch.no_grad()
def hardware_form(model: Pyramid, tape: Sequence[Sequence[Call]]) -> Pyramid:
    """A copy of ``model`` whose attention hardware can compute: frozen σ, rounded weights.

    σ of a head is the mean of those of the sequences on ``tape``. Thresholds stay as learned.

    Parameters
    ----------
    model : Pyramid
        With kernelized hashes.
    tape : list of list of Call
        What each of its ``cores`` was given on calibration data.
    """
    attention = replace(model.ecoformer, **IN_HARDWARE)
    copy = make_pyramid(model.config, attention).train(model.training)
    copy.load_state_dict(model.state_dict())
    for core, calls in zip(copy.cores, tape, strict=True):
        assert isinstance(core.hash, KernelHash)
        threshold = core.hash.threshold.clone()
        core.hash.calibrate(torch.cat([call.k for call in calls]))
        core.hash.threshold.copy_(threshold)
    return copy


@torch.no_grad()
def export_pyramid(
    model: Pyramid, images: torch.Tensor, config: Config | None = None
) -> tuple[Config, ParameterImage, Workload, dict]:
    """Engine, parameters and test vectors of a published network, and what the integers change.

    Parameters
    ----------
    model : Pyramid
        As imported.
    images : float Tensor [n, channels, height, width]
        Calibration images, normalised; all heads of the first one become the test vectors.
    config : Config or None
        The engine; that of :func:`engine_of` when None.

    Returns
    -------
    config : Config
    image : ParameterImage
        A set for each head of each layer, in the order of use.
    workload : Workload
    figures : dict
        JSON-ready. ``layers``: of each its tokens, heads and parameter sets, and the shares of code
        bits on the calibration images that freezing σ flips (``bandwidth``) and that integers flip
        then (``integers``). ``logits``: how those with integer attention agree with the float ones,
        ``cosine``, the mean, and ``same_label``, a share.
    """
    engine_of(model, 1)  # refused before anything takes time
    logits: list[torch.Tensor] = []
    tape = record(model.cores, lambda: logits.append(model(images)))
    config = config or engine_of(model, max(call.k.shape[2] for calls in tape for call in calls))
    frozen = hardware_form(model, tape)
    image = calibrate(config, frozen.cores, tape)
    for core in frozen.cores:  # so that what rounding does shows as what integers do
        core.hash.weights = FLOAT
    integer = _integer_logits(config, model, image, images)
    host = EngineAttention(config, image, model.cores, None)
    sequences = [
        sequence
        for core, (call, *_) in zip(model.cores, tape)
        for sequence in host.workload(core.layer, _first(call)).sequences()
    ]
    figures = {
        "calibration_images": len(images),
        "layers": list(_layers(config, model, frozen, image, tape)),
        "logits": {
            "cosine": float(torch.cosine_similarity(logits[0], integer).mean()),
            "same_label": float((logits[0].argmax(1) == integer.argmax(1)).double().mean()),
        },
    }
    return config, image, Workload.from_sequences(sequences), figures


def _first(call):
    return Call(call.q[:1], call.k[:1], call.v[:1])


def _integer_logits(config, model, image, images):
    attention = EngineAttention(config, image, model.cores, IntegerEngine(config, image))
    with override_attention(model.cores, attention):
        return model(images)


def _layers(config, model, frozen, image, tape):
    rounded = code_disagreement(config, frozen.cores, image, tape)
    rows = zip(model.cores, frozen.cores, set_numbers(model.cores), rounded, tape, strict=True)
    for core, fixed, numbers, integers, calls in rows:
        flipped = np.mean([
            float((core.hash(call.k) != fixed.hash(call.k)).double().mean()) for call in calls
        ])
        yield {
            "layer": core.layer, "heads": core.heads, "tokens": calls[0].k.shape[2],
            "sets": [int(numbers.min()), int(numbers.max())],
            "bandwidth": float(flipped), "integers": float(integers.mean()),
        }
