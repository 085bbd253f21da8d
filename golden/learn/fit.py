"""One training run of one network, from its last checkpoint on, and what the network then knows."""

import math
import time
from threading import Event

import torch
from torch.nn.functional import cross_entropy, pad

from ecoformer.errors import EcoformerError
from ecoformer.golden.attention import cores_of
from ecoformer.golden.learn.checkpoint import Checkpoint

__all__ = ["Fitter", "Stopped", "accuracy", "predict", "shift_images", "learning_rate"]


class Stopped(Exception):
    """The run ended early because another one failed; its checkpoint is up to date."""


class Fitter:
    """Trains networks on one data set; AdamW, cosine schedule, a checkpoint after every epoch.

    Parameters
    ----------
    data : ImageData
        Trains on its ``train`` part and reports on its ``validation`` part.
    training : TrainingConfig
        Hyper-parameters that all runs share.
    settings : dict
        What checkpoints must have been made with.
    folder : Path
        Where checkpoints are.
    progress : Progress
        A stage per run, updated at every step, and a line per epoch.

    Members
    -------
    stop : Event
        When set, every run raises :class:`Stopped` at its next step.
    """

    def __init__(self, data, training, settings, folder, progress):
        self.data = data
        self.training = training
        self.settings = settings
        self.folder = folder
        self.progress = progress
        self.stop = Event()

    def fit(self, name, model, epochs, lr, *, stream, before_epoch=None):
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
        optimizer = self._optimizer(model, lr)
        checkpoint = Checkpoint(self.folder / f"{name.replace(' ', '-')}.pt", self.settings)
        history = self._restore(checkpoint, model, optimizer)
        self.progress.update(name, len(history), epochs)
        for epoch in range(len(history), epochs):
            started = time.perf_counter()
            if before_epoch is not None:
                before_epoch(model, epoch)
            loss = self._epoch(name, model, optimizer, epoch, epochs, lr, stream)
            record = {"epoch": epoch + 1, "loss": loss, **self._validate(model)}
            record["seconds"] = time.perf_counter() - started
            history.append(record)
            checkpoint.save(
                model=model.state_dict(), optimizer=optimizer.state_dict(), history=history
            )
            self.progress.line(
                f"{name}: epoch {epoch + 1}/{epochs}, loss {loss:.4f}, validation "
                f"{record['validation_accuracy']:.2%}, {record['seconds']:.1f} s"
            )
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

    def _epoch(self, name, model, optimizer, epoch, epochs, lr, stream):
        """One pass over the training images; returns the mean loss in nats."""
        t, train = self.training, self.data.train
        # Everything random follows from the number of the epoch: a checkpoint needs no generator.
        generator = torch.Generator().manual_seed((t.seed * 2 + stream) * 100_003 + epoch)
        parts = torch.randperm(len(train), generator=generator).split(t.batch)
        total = 0.0
        cores = cores_of(model) if self.training.train_hash else []
        model.train()
        for step, index in enumerate(parts):
            if self.stop.is_set():
                raise Stopped(name)
            rate = learning_rate(
                epoch + step / len(parts), epochs, t.warmup_epochs, 1 / len(parts), lr
            )
            for group in optimizer.param_groups:
                group["lr"] = rate
            images = shift_images(train.images[index], t.shift, generator)
            loss = cross_entropy(
                model(images), train.labels[index], label_smoothing=t.label_smoothing
            )
            value = loss.item()
            if not math.isfinite(value):
                raise EcoformerError(
                    f"training {name}: the loss is {value} in epoch {epoch + 1}, step "
                    f"{step + 1}; lower the learning rate"
                )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            for core in cores:
                core.limit_offset()
            total += value * len(index)
            self.progress.update(name, epoch + (step + 1) / len(parts), epochs)
        return total / len(train)

    def _validate(self, model):
        part = self.data.validation
        logits = _logits(model, part.images)
        return {
            "validation_accuracy": (logits.argmax(1) == part.labels).double().mean().item(),
            "validation_loss": cross_entropy(logits, part.labels).item(),
        }

    def _restore(self, checkpoint, model, optimizer):
        """Load the checkpoint if there is one; returns its history."""
        content = checkpoint.load()
        if content is None:
            return []
        try:
            model.load_state_dict(content["model"])
            optimizer.load_state_dict(content["optimizer"])
        except (RuntimeError, KeyError, ValueError) as error:
            raise EcoformerError(
                f"{checkpoint.path}: checkpoint of another version's network; train again with "
                "--restart"
            ) from error
        return content["history"]


def predict(model, images, batch=250):
    """Labels [n], int64, that ``model`` gives uint8 ``images`` [n, channels, height, width]."""
    return _logits(model, images, batch).argmax(1)


def accuracy(model, images, labels, batch=250):
    """Fraction of ``images`` that ``model`` gives their ``labels``."""
    return (predict(model, images, batch) == labels).double().mean().item()


@torch.inference_mode()
def _logits(model, images, batch=250):
    was_training = model.training
    model.eval()
    logits = torch.cat([model(part) for part in images.split(batch)])
    model.train(was_training)
    return logits


def shift_images(images, distance, generator):
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


def learning_rate(time, end, warmup, step, peak):
    """Learning rate of the step that begins at ``time``, all times in epochs.

    It grows linearly, by equal steps of length ``step``, to ``peak`` at the end of ``warmup``, and
    falls along half a cosine to 0 at ``end``.
    """
    if time < warmup:
        return peak * min(1.0, (time + step) / warmup)
    return peak * 0.5 * (1 + math.cos(math.pi * (time - warmup) / max(step, end - warmup)))
