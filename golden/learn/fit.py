# SPDX-License-Identifier: Apache-2.0
"""One training run of a network, resumed from its checkpoint, and the accuracy of the result."""

import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

import torch
from torch import nn
from torch.nn.functional import cross_entropy, pad

from ecoformer.errors import EcoformerError
from ecoformer.golden.attention import cores_of
from ecoformer.golden.learn.checkpoint import Checkpoint
from ecoformer.golden.learn.data import ImageData
from ecoformer.golden.learn.loop import Loop
from ecoformer.golden.learn.parallel import Stopped
from ecoformer.golden.learn.recipe import TrainingConfig
from ecoformer.progress import Progress

__all__ = ["Fitter", "accuracy", "predict", "shift_images"]


class Fitter:
    """Trains networks on one data set; AdamW, cosine schedule, a checkpoint after every epoch.

    Parameters
    ----------
    data : ImageData
        Trains on its ``train`` part and reports on its ``validation`` part.
    training : TrainingConfig
        Hyper-parameters shared by all runs.
    settings : dict
        Settings that checkpoints must have been made with.
    folder : Path
        Of the checkpoints.
    progress : Progress
        A stage per run, updated at every step, and a line per epoch.

    Members
    -------
    stop : Event
        When set, every run raises :class:`Stopped` at its next step.
    """

    def __init__(
        self,
        data: ImageData,
        training: TrainingConfig,
        settings: dict,
        folder: Path,
        progress: Progress,
    ):
        self.data = data
        self.training = training
        self.settings = settings
        self.folder = folder
        self.progress = progress
        self.stop = Event()

    def fit(
        self,
        name: str,
        model: nn.Module,
        epochs: int,
        lr: float,
        *,
        stream: int,
        before_epoch: Callable[[nn.Module, int], None] | None = None,
    ) -> list[dict]:
        """Train ``model`` in place up to ``epochs`` epochs.

        Parameters
        ----------
        name : str
            Stage of the run, and name of its checkpoint file.
        model : VisionTransformer
            Its starting point; the checkpoint, if there is one, replaces it.
        epochs : int
            Length of the schedule.
        lr : float
            Peak learning rate.
        stream : int
            0 or 1. Runs of one stream see the same images in the same order, shifted the same way.
        before_epoch : callable or None
            Called as ``before_epoch(model, epoch)``, epochs counted from 0.

        Returns
        -------
        list of dict
            ``epoch``, ``loss``, ``validation_accuracy``, ``validation_loss``, ``seconds``.

        Raises
        ------
        EcoformerError
            Damaged checkpoint or one of other settings; a loss that is not finite.
        """
        checkpoint = Checkpoint(self.folder / f"{name.replace(' ', '-')}.pt", self.settings)
        optimizer = self._optimizer(model, lr)
        run = _Epochs(self, name, model, optimizer, epochs, stream, before_epoch)
        try:
            history = run.run(checkpoint, self.progress, name)
        except FloatingPointError as error:
            raise EcoformerError(f"training {name}: {error}") from error
        model.eval()
        return history

    def _optimizer(self, model, lr):
        """AdamW; hashes, whose rows count by their signs only, do not decay."""
        hashes = [p for core in cores_of(model) for p in core.parameters()]
        for p in hashes:
            p.requires_grad_(self.training.train_hash)
        own = {id(p) for p in hashes}
        groups = [{"params": [p for p in model.parameters() if id(p) not in own]}]
        if self.training.train_hash and hashes:
            groups.append({"params": hashes, "weight_decay": 0.0})
        return torch.optim.AdamW(groups, lr, weight_decay=self.training.weight_decay, fused=True)


class _Epochs(Loop):
    """Epochs over the training images; an entry of the history per epoch."""

    def __init__(self, fitter, name, model, optimizer, epochs, stream, before_epoch):
        training, train = fitter.training, fitter.data.train
        per_epoch = -(-len(train) // training.batch)
        super().__init__(
            optimizer, epochs * per_epoch, per_epoch, per_epoch, training.warmup_epochs
        )
        self.fitter = fitter
        self.name = name
        self.model = model
        self.stream = stream
        self.before_epoch = before_epoch
        self.trained_cores = cores_of(model) if training.train_hash else []

    def loss(self, step):
        epoch, step = divmod(step, self.epoch)
        if step == 0:
            self._begin_epoch(epoch)
        if self.fitter.stop.is_set():
            raise Stopped(self.name)
        training, train = self.fitter.training, self.fitter.data.train
        index = self.parts[step]
        images = shift_images(train.images[index], training.shift, self.generator)
        return cross_entropy(
            self.model(images), train.labels[index], label_smoothing=training.label_smoothing
        )

    def _begin_epoch(self, epoch):
        self.started = time.perf_counter()
        if self.before_epoch is not None:
            self.before_epoch(self.model, epoch)
        training, train = self.fitter.training, self.fitter.data.train
        # Everything random follows from the number of the epoch: a checkpoint needs no generator.
        seed = (training.seed * 2 + self.stream) * 100_003 + epoch
        self.generator = torch.Generator().manual_seed(seed)
        self.parts = torch.randperm(len(train), generator=self.generator).split(training.batch)
        self.model.train()

    def after_step(self):
        for core in self.trained_cores:
            core.limit_offset()

    def evaluate(self, step, losses):
        part = self.fitter.data.validation
        mean = sum(loss * len(index) for loss, index in zip(losses, self.parts, strict=True))
        mean /= len(self.fitter.data.train)
        logits = _logits(self.model, part.images)
        return {
            "epoch": step // self.epoch,
            "loss": mean,
            "validation_accuracy": (logits.argmax(1) == part.labels).double().mean().item(),
            "validation_loss": cross_entropy(logits, part.labels).item(),
            "seconds": time.perf_counter() - self.started,
        }

    def describe(self, step, entry):
        return (
            f"epoch {entry['epoch']}/{self.steps // self.epoch}, loss {entry['loss']:.4f}, "
            f"validation {entry['validation_accuracy']:.2%}, {entry['seconds']:.1f} s"
        )

    def state(self, finished):
        return {"model": self.model.state_dict()}

    def restore(self, state):
        self.model.load_state_dict(state["model"])


def predict(model: nn.Module, images: torch.Tensor, batch: int = 250) -> torch.Tensor:
    """Labels [n], int64, that ``model`` gives uint8 ``images`` [n, channels, height, width]."""
    return _logits(model, images, batch).argmax(1)


def accuracy(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor, batch: int = 250
) -> float:
    """Fraction of ``images`` that ``model`` gives their ``labels``."""
    return (predict(model, images, batch) == labels).double().mean().item()


@torch.inference_mode()
def _logits(model, images, batch=250):
    was_training = model.training
    model.eval()
    logits = torch.cat([model(part) for part in images.split(batch)])
    model.train(was_training)
    return logits


def shift_images(
    images: torch.Tensor, distance: int, generator: torch.Generator
) -> torch.Tensor:
    """Move every image by up to ``distance`` pixels, zeros coming in from the border."""
    if distance == 0:
        return images
    count, channels, height, width = images.shape
    moves = torch.randint(0, 2 * distance + 1, (2, count, 1), generator=generator)
    rows = (moves[0] + torch.arange(height))[:, None, :, None]
    columns = (moves[1] + torch.arange(width))[:, None, None, :]
    image = torch.arange(count)[:, None, None, None]
    channel = torch.arange(channels)[:, None, None]
    return pad(images, (distance,) * 4)[image, channel, rows, columns]
