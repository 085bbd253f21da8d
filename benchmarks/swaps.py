# SPDX-License-Identifier: Apache-2.0
"""Networks that are trained in the limit of many bits, and ways to put codes into them."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from scipy.linalg import hadamard

from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.files import read_checked
from ecoformer.golden.learn.distill import DistillConfig, distil_layers
from ecoformer.golden.learn.fit import accuracy
from ecoformer.golden.learn.frames import SIDE as CANVAS
from ecoformer.golden.learn.ksh import KshConfig
from ecoformer.golden.learn.networks import learn_hashes
from ecoformer.golden.learn.recall import CHANNELS, SIDE
from ecoformer.golden.learn.recipe import TrainingConfig
from ecoformer.golden.learn.together import distil_network
from ecoformer.golden.learn.train import train
from ecoformer.golden.networks.vit import NetworkConfig, VisionTransformer
from ecoformer.golden.recording import record
from ecoformer.progress import Progress

__all__ = ["LIMIT", "SWAPS", "TASKS", "Swap", "hadamard_rows", "put_in", "train_limit"]

LIMIT = AttentionConfig(hash="linear")
"""The limit that networks are trained in has the offset of codes of this length."""


@dataclass(frozen=True)
class TaskNetwork:
    """A network that learns a task, and for how long.

    Parameters
    ----------
    title : str
    network : NetworkConfig
    batch : int
    pretrain_epochs, limit_epochs : int
        Of softmax and of each control; of the limit, and of softmax trained as long.
    limit_lr : float
        Peak learning rate of these two.
    """

    title: str
    network: NetworkConfig
    batch: int
    pretrain_epochs: int
    limit_epochs: int
    limit_lr: float = 1e-3


SEQUENCES = NetworkConfig(image_size=SIDE, channels=CHANNELS, patch=1, depth=2)
TASKS = {
    "recall": TaskNetwork("Associative recall", SEQUENCES, 128, 3, 6),
    "frames": TaskNetwork(
        "Framed digits", NetworkConfig(image_size=CANVAS, patch=14, depth=2), 64, 3, 5,
        2e-3,
    ),
    "largest": TaskNetwork("The largest of three recalled values", SEQUENCES, 64, 2, 5),
}
TRAINING = TrainingConfig(
    shift=0, label_smoothing=0.0, weight_decay=0.01, clip=1.0, tune_epochs=0,
    hash_learner="random", hash_images=64, controls=("mean", "none"),
)
"""Without ``clip`` the limit of some seeds did not learn."""

IMAGES = 256
"""Training examples that hashes are calibrated on or learned from."""
BATCH = 16
WHITENED = KshConfig(optimizer="whitened", iterations=25)
LAYER_BY_LAYER = DistillConfig(steps=100, learn_offset=False)
TOGETHER = DistillConfig(steps=100)


def train_limit(task: str, seed: int, folder: Path, progress: Progress) -> dict:
    """Train softmax, both controls and the limit of ``task``, or go on where this was interrupted.

    Returns
    -------
    dict
        Held-out accuracies, and the weights of the limit network as ``state``.
    """
    shape = TASKS[task]
    training = TrainingConfig(**{
        **vars(TRAINING), "data": task, "seed": seed, "batch": shape.batch,
        "pretrain_epochs": shape.pretrain_epochs, "limit_epochs": shape.limit_epochs,
        "limit_lr": shape.limit_lr,
    })
    metrics = train(shape.network, LIMIT, training, folder, progress)
    state = read_checked(folder / "checkpoints" / "limit.pt", "checkpoint")["model"]
    return {**metrics["held_out_accuracy"], "state": state}


@dataclass(frozen=True)
class Swap:
    """A way to put codes in.

    Parameters
    ----------
    hash, learner : str
        As they are shown.
    learn : callable
        ``learn(model, teacher, images, seed)`` learns or draws the hashes of ``model``, which has
        EcoFormer attention with the weights of ``teacher``; ``images`` are training examples.
    attention : dict
        Fields of the attention, beside ``code_bits``.
    """

    hash: str
    learner: str
    learn: Callable[[VisionTransformer, VisionTransformer, torch.Tensor, int], object]
    attention: dict[str, Any] = field(default_factory=dict)


def put_in(swap: Swap, bits: int, seed: int, task: str, state: dict, data) -> float:
    """Held-out accuracy with codes of ``bits`` bits in the place of the limit; nothing is tuned."""
    teacher = VisionTransformer(TASKS[task].network)
    teacher.limit_attention(LIMIT)
    teacher.load_state_dict(state)
    model = deepcopy(teacher.eval())
    model.replace_attention(AttentionConfig(code_bits=bits, **swap.attention))
    swap.learn(model.eval(), teacher, data.train.images, seed)
    return accuracy(model, data.held_out.images, data.held_out.labels)


def _known(learner: str, config: KshConfig | None = None):
    """A learner of single hashes, by name."""
    return lambda model, teacher, images, seed: learn_hashes(
        model, images[:IMAGES], seed, config, learner
    )


def _layer_by_layer(model, teacher, images, seed):
    """Every layer against what it answered in the limit."""
    batches = images[:IMAGES].split(BATCH)

    def run(network):
        with torch.no_grad():
            for batch in batches:
                network(batch)

    teachers = teacher.attention_layers()
    tape = record(teachers, lambda: run(teacher))
    with torch.no_grad():
        targets = [
            [layer(call.q, call.k, call.v) for call in calls]
            for layer, calls in zip(teachers, tape, strict=True)
        ]
    layers = model.attention_layers()
    generator = torch.Generator().manual_seed(seed)
    names = [f"layer {layer.layer}" for layer in layers]
    distil_layers(layers, lambda: run(model), targets, LAYER_BY_LAYER, generator, names)


def _together(model, teacher, images, seed):
    distil_network(model, teacher, images[:IMAGES].split(BATCH), TOGETHER, seed)


def hadamard_rows(
    bits: int, features: int, rounds: int, generator: torch.Generator
) -> torch.Tensor:
    """Rows [bits, features] of random rotations x → H·(s∘x), ``rounds`` times over.

    H is a Hadamard matrix, s are random signs, drawn again for each round and each group of
    ``features`` rows, of which the last group keeps a random part. A rotation takes
    features·log₂(features) additions, and no weights.

    Source: Andoni et al., "Practical and Optimal LSH for Angular Distance", NeurIPS 2015.
    """
    matrix = torch.from_numpy(hadamard(features)).float()
    groups: list[torch.Tensor] = []
    for first in range(0, bits, features):
        rows = torch.eye(features)
        for _ in range(rounds):
            signs = torch.randint(2, (features,), generator=generator) * 2.0 - 1
            rows = matrix @ (signs[:, None] * rows) / features**0.5
        order = torch.randperm(features, generator=generator)
        groups.append(rows[order[: bits - first]])
    return torch.cat(groups)


def _rotate(rounds: int, model, teacher, images, seed):
    """Hashes that are Hadamard rotations, without thresholds."""
    generator = torch.Generator().manual_seed(seed)
    for layer in model.attention_layers():
        hash = layer.hash
        shape = hash.code_bits, hash.head_dim, rounds, generator
        hash.projection.copy_(torch.stack([hadamard_rows(*shape) for _ in range(hash.heads)]))
        hash.threshold.zero_()



LINEAR = {"hash": "linear"}
TERNARY = {"hash": "linear", "weights": "ternary"}
KERNEL = {"anchors": 9}
SWAPS: Sequence[Swap] = (
    Swap("linear", "random", _known("random"), LINEAR),
    Swap("linear", "orthogonal", _known("orthogonal"), LINEAR),
    Swap("linear", "Hadamard, 1 round", partial(_rotate, 1), LINEAR | {"weights": "float"}),
    Swap("linear", "Hadamard, 2 rounds", partial(_rotate, 2), LINEAR | {"weights": "float"}),
    Swap("linear", "ksh", _known("ksh", WHITENED), LINEAR),
    Swap("linear", "output of a layer", _layer_by_layer, LINEAR),
    Swap("linear", "network", _together, LINEAR),
    Swap("ternary", "random", _known("random"), TERNARY),
    Swap("ternary", "orthogonal", _known("orthogonal"), TERNARY),
    Swap("ternary", "network", _together, TERNARY),
    Swap("kernelized", "random", _known("random"), KERNEL),
    Swap("kernelized", "released", _known("released"), KERNEL),
    Swap("kernelized", "ksh", _known("ksh", WHITENED), KERNEL),
    Swap("kernelized", "network", _together, KERNEL),
)
"""Every combination that is measured."""
