# SPDX-License-Identifier: Apache-2.0
"""One training run of a network, resumed from its checkpoint, and the accuracy of the result."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from threading import Event

import torch
from torch import nn

from ecoformer.errors import EcoformerError
from ecoformer.golden.attention import cores_of
from ecoformer.golden.learn.arithmetic import Arithmetic
from ecoformer.golden.learn.average import Average
from ecoformer.golden.learn.batches import Batches
from ecoformer.golden.learn.checkpoint import Checkpoint
from ecoformer.golden.learn.data import DataSet, Split
from ecoformer.golden.learn.group import ALONE, Group
from ecoformer.golden.learn.history import file_name, write_history
from ecoformer.golden.learn.loop import Loop
from ecoformer.golden.learn.parallel import Stopped
from ecoformer.golden.learn.predictions import Measure, count_of, loss_of, measure
from ecoformer.golden.learn.recipe import TrainingConfig
from ecoformer.golden.networks.drop_path import dropping
from ecoformer.progress import Progress

__all__ = ["Fitter", "accuracy", "predict"]


class Fitter:
    """Trains networks on one data set; AdamW, cosine schedule, a checkpoint after every epoch.

    Parameters
    ----------
    data : DataSet
        Trains on its ``train`` part and reports on its ``validation`` part.
    training : TrainingConfig
        Hyper-parameters shared by all runs.
    folder : Path
        Of the checkpoints.
    progress : Progress
        A stage per run, updated at every step, and a line per epoch.
    workers : int
        Processes of each run that read pictures; 0: none.
    group : Group
        Processes that train together.
    save_every : int
        Steps between two checkpoints within an epoch; 0: none.

    Members
    -------
    stop : Event
        When set, every run raises :class:`Stopped` at its next step.
    """

    def __init__(
        self,
        data: DataSet,
        training: TrainingConfig,
        folder: Path,
        progress: Progress,
        workers: int = 0,
        group: Group = ALONE,
        save_every: int = 0,
    ):
        self.data = data
        self.training = training
        self.folder = folder
        self.progress = progress
        self.workers = workers
        self.group = group
        self.save_every = save_every
        self.stop = Event()

    def fit(
        self,
        name: str,
        model: nn.Module,
        epochs: int,
        lr: float,
        *,
        stream: int,
        settings: dict,
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
            0 or 1. Runs of one stream see the same images in the same order, augmented the same
            way.
        settings : dict
            JSON-ready: on what the run depends. A checkpoint of other settings is refused.
        before_epoch : callable or None
            Called as ``before_epoch(model, epoch)``, epochs counted from 0.

        Returns
        -------
        list of dict
            ``epoch``, ``loss``, ``validation_accuracy``, ``validation_loss``, ``seconds``;
            ``images_per_second`` of training, and ``waiting``, the share of its time in which
            images were awaited. Of text, ``contexts_per_second``, and ``validation_perplexity``.

        Raises
        ------
        EcoformerError
            Damaged checkpoint or one of other settings; a loss that is not finite.
        """
        path = self.folder / f"{file_name(name)}.pt"
        checkpoint = Checkpoint(path, settings, self.group.leads)
        start, peak, final = self.training.rates(lr)
        optimizer = self._optimizer(model, peak)
        run = _Epochs(self, name, model, optimizer, epochs, (start, final), stream, before_epoch)
        try:
            history = run.run(checkpoint, self.progress, name)
        except FloatingPointError as error:
            raise EcoformerError(f"training {name}: {error}") from error
        model.load_state_dict(run.kept)
        model.eval()
        return history

    def logits(self, model: nn.Module, part: Split) -> torch.Tensor:
        """Logits [n, classes] of all images of ``part``, computed by all processes.

        Of text [n, positions, classes].
        """
        own = part.take(self.group.share(len(part)))
        return self.group.gather(_logits(model, own.images), len(part))

    def measure(self, model: nn.Module, part: Split) -> Measure:
        """How well ``model`` predicts the labels of ``part``, computed by all processes."""
        return measure(self.logits(model, part), part.labels)

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

    def __init__(self, fitter, name, model, optimizer, epochs, ends, stream, before_epoch):
        training, self.group = fitter.training, fitter.group
        self.batches = Batches(
            fitter.data.train, fitter.data.classes, training, stream, fitter.workers, self.group
        )
        per_epoch = len(self.batches)
        super().__init__(
            optimizer, epochs * per_epoch, per_epoch, per_epoch, training.warmup_epochs, ends,
            Arithmetic(training.precision, training.clip, self.group.size), fitter.save_every,
        )
        self.fitter = fitter
        self.name = name
        self.model = model
        self.network = self.group.wrap(model)
        self.average = Average(model, training.ema) if training.ema else None
        self.best: dict | None = None  # weights of the best epoch, where they are kept
        self.before_epoch = before_epoch
        self.trained_cores = cores_of(model) if training.train_hash else []

    @property
    def judged(self):
        """The network that is validated and kept."""
        return self.average.model if self.average else self.model

    @property
    def kept(self):
        """The weights that the run ends with."""
        return self.judged.state_dict() if self.best is None else self.best

    def losses(self, step):
        epoch, step = divmod(step, self.epoch)
        if step == 0 or not self.batches.parts:  # or resumed within an epoch
            self._begin_epoch(epoch, step)
        if self.fitter.stop.is_set():
            raise Stopped(self.name)
        training = self.fitter.training
        images, targets = self._draw(step)
        paths = self.batches.paths(self.model, step)
        size = -(-len(images) // training.accumulate)
        for first in range(0, len(images), size):
            chosen, is_last = slice(first, first + size), first + size >= len(images)
            with nullcontext() if is_last else self.group.apart(self.network):
                with self.arithmetic.casting():
                    with dropping(self.model, None if paths is None else paths[:, chosen]):
                        logits = self.network(images[chosen])
                    loss = loss_of(logits, targets[chosen], training.label_smoothing)
                yield loss * (count_of(targets[chosen]) / self.batches.counts[step])

    def whole(self, value):
        return self.group.total(value)

    def _draw(self, step):
        started = time.perf_counter()
        batch = self.batches.draw(step)
        self.reading += time.perf_counter() - started
        self.seen += len(self.batches.parts[step])
        return batch

    def _begin_epoch(self, epoch, step):
        self.started, self.reading, self.seen = time.perf_counter(), 0.0, 0
        if self.before_epoch is not None and step == 0:
            self.before_epoch(self.model, epoch)
        self.batches.begin(epoch)
        self.model.train()

    def after_step(self, step):
        for core in self.trained_cores:
            core.limit_offset()
        if self.average:
            self.average.update(self.model, step)

    def evaluate(self, step, losses):
        data = self.fitter.data
        learning, counts = time.perf_counter() - self.started, self.batches.counts
        total = sum(loss * count for loss, count in zip(losses, counts, strict=True))
        judged = self.fitter.measure(self.judged, data.validation)
        return {
            "epoch": step // self.epoch,
            "loss": total / sum(counts),
            "validation_accuracy": judged.accuracy,
            "validation_loss": judged.loss,
            **({"validation_perplexity": judged.perplexity} if data.alphabet else {}),
            f"{data.unit}_per_second": self.seen / learning,
            "waiting": self.reading / learning,  # share of the time, for images
            "seconds": time.perf_counter() - self.started,
        }

    def note(self, history):
        training = self.fitter.training
        if training.keep == "best" and training.kept(history) is history[-1]:
            self.best = {name: tensor.clone() for name, tensor in self.judged.state_dict().items()}
        if self.group.leads:
            write_history(self.fitter.folder / f"{file_name(self.name)}.csv", history)

    def describe(self, step, entry):
        unit, judged = self.fitter.data.unit, f"{entry['validation_accuracy']:.2%}"
        if "validation_perplexity" in entry:
            judged = f"perplexity {entry['validation_perplexity']:.3f}"
        return (
            f"epoch {entry['epoch']}/{self.steps // self.epoch}, loss {entry['loss']:.4f}, "
            f"validation {judged}, {entry['seconds']:.1f} s, "
            f"{entry[f'{unit}_per_second']:,.0f} {unit}/s, {entry['waiting']:.0%} waiting for them"
        )

    def state(self, finished):
        if finished:
            return {"model": self.kept}
        average = {"average": self.average.model.state_dict()} if self.average else {}
        best = {} if self.best is None else {"best": self.best}
        return {"model": self.model.state_dict(), **average, **best}

    def restore(self, state):
        self.model.load_state_dict(state["model"])
        if self.average:
            self.average.model.load_state_dict(state.get("average", state["model"]))
        self.best = state.get("best")


def predict(model: nn.Module, images: torch.Tensor, batch: int = 250) -> torch.Tensor:
    """Labels [n], int64, that ``model`` gives uint8 ``images`` [n, channels, height, width].

    Of the tokens of contexts [n, positions], the best of what may follow each of them.
    """
    return _logits(model, images, batch).argmax(-1)


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
