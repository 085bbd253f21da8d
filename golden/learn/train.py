"""Training in two steps, and the control that says what the second step costs.

1. A softmax network is trained from scratch.
2. Its attention is swapped for EcoFormer attention, hashes are learned, σ is frozen, and the
   network is fine-tuned. The control is the same softmax network, fine-tuned as long on the same
   data. Each arm takes the learning rate of the same grid that does best on the validation part.

Source of the recipe: arXiv 2209.09004, §4.
"""

import json
import os
import time
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch

from ecoformer.errors import EcoformerError
from ecoformer.files import write_json
from ecoformer.golden.attention import AttentionConfig, record
from ecoformer.golden.learn import data as datasets
from ecoformer.golden.learn.distill import OBJECTIVES, Distilling, distil_layers, exact_outputs
from ecoformer.golden.learn.fit import Fitter, Stopped, accuracy, predict
from ecoformer.golden.learn.ksh import HashLearning, learn_hashes
from ecoformer.golden.networks.vit import (
    VisionTransformer,
    save_model,
    state_digest,
    swap_attention,
)
from ecoformer.golden.quality.measure import separation
from ecoformer.progress import SILENT
from ecoformer.spec.checks import check_choice, check_number

__all__ = ["TrainingConfig", "train", "accuracy", "predict", "HASH_LEARNERS"]

HASH_LEARNERS = ("ksh", *OBJECTIVES)
"""What hashes can be learned from."""
LEARNING_BATCH = 16
"""Images per batch for learners that hold batches out."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Hyper-parameters of a training run.

    Parameters
    ----------
    data : str
        ``mnist`` or ``fashion``.
    data_path : str
        Folder of the ``fashion`` files; empty for the usual place.
    seed : int
        Of weights, order, augmentation, hashes and the validation part.
    pretrain_epochs, tune_epochs : int
        Length of step 1, and of each run of step 2.
    warmup_epochs : float
        Linear warm-up at the start of every run; then a cosine to 0.
    pretrain_lr : float
        Peak learning rate of step 1.
    tune_lrs : tuple of float
        Peak learning rates tried in step 2, by both arms.
    batch : int
        Images per step.
    weight_decay : float
        Of AdamW.
    label_smoothing : float
        Of the cross-entropy.
    shift : int
        Every training image is moved by up to this many pixels in both directions.
    code_bits, hash, weights, anchors, normalise, queries, value_term, offset
        As in :class:`golden.attention.AttentionConfig`.
    hash_learner : str
        What hashes are learned from. ``ksh``: labels of similar and dissimilar tokens (paper);
        ``output`` or ``attention``: what softmax attention does
        (:class:`golden.learn.distill.Distilling`).
    hash_optimizer, hash_start
        Of ``ksh``, as in :class:`golden.learn.ksh.HashLearning`.
    hash_iterations : int
        Gradient steps, per bit with ``ksh``, else per layer.
    hash_lr : float
        Peak learning rate of ``output`` and ``attention``.
    hash_images : int
        Training images from which hashes are learned and calibrated; the other learners hold a
        part of them out, which decides when to stop.
    hash_refresh : int
        Hashes are learned anew every so many epochs of step 2 (the paper's τ); 0: never.
    train_hash : bool
        Whether the task loss trains hashes and offsets, too; in the paper it does not.

    Raises
    ------
    TypeError, ValueError
        A value of the wrong type or outside its range.
    """

    data: str = "mnist"
    data_path: str = ""
    seed: int = 0
    pretrain_epochs: int = 14
    tune_epochs: int = 20
    warmup_epochs: float = 1.0
    pretrain_lr: float = 2e-3
    tune_lrs: tuple[float, ...] = (2e-3, 4e-3)
    batch: int = 50
    weight_decay: float = 0.05
    label_smoothing: float = 0.1
    shift: int = 2
    code_bits: int = 16
    hash: str = "rbf"
    weights: str = "int8"
    anchors: int = 25
    normalise: bool = False
    queries: str = "shared"
    value_term: str = "sum"
    offset: float = 0.0
    hash_learner: str = "ksh"
    hash_optimizer: str = "adam"
    hash_start: str = "random"
    hash_iterations: int = 100
    hash_lr: float = 0.02
    hash_images: int = 64
    hash_refresh: int = 0
    train_hash: bool = False

    def __post_init__(self):
        check_choice("data", self.data, datasets.DATASETS)
        if not isinstance(self.data_path, str):
            raise TypeError(f"data_path must be a string, not {self.data_path!r}")
        check_number("seed", self.seed, int, 0)
        check_number("pretrain_epochs", self.pretrain_epochs, int, 1)
        check_number("tune_epochs", self.tune_epochs, int, 1)
        check_number("warmup_epochs", self.warmup_epochs, float, 0)
        check_number("pretrain_lr", self.pretrain_lr, float, 0)
        if not isinstance(self.tune_lrs, tuple) or not self.tune_lrs:
            raise TypeError(f"tune_lrs must be a list of numbers, not {self.tune_lrs!r}")
        for lr in self.tune_lrs:
            check_number("each of tune_lrs", lr, float, 0)
        if len({*self.tune_lrs}) < len(self.tune_lrs):
            raise ValueError(f"tune_lrs must be different numbers, not {self.tune_lrs!r}")
        check_number("batch", self.batch, int, 1)
        check_number("weight_decay", self.weight_decay, float, 0)
        check_number("label_smoothing", self.label_smoothing, float, 0, 1)
        check_number("shift", self.shift, int, 0)
        check_choice("hash_learner", self.hash_learner, HASH_LEARNERS)
        if self.hash_learner == "ksh" and self.queries == "separate":
            raise ValueError(
                "hash_learner must be 'output' or 'attention' with queries = 'separate', not 'ksh'"
            )
        check_number("hash_lr", self.hash_lr, float, 0)
        check_number("hash_images", self.hash_images, int, 1)
        check_number("hash_refresh", self.hash_refresh, int, 0)
        if not isinstance(self.train_hash, bool):
            raise TypeError(f"train_hash must be true or false, not {self.train_hash!r}")
        self.attention, self.hash_learning  # noqa: B018  check their fields now, not in step 2

    @property
    def attention(self):
        """Shape of the attention swapped in."""
        return AttentionConfig(**{f.name: getattr(self, f.name) for f in fields(AttentionConfig)})

    @property
    def hash_learning(self):
        """Hyper-parameters of the learner: HashLearning or Distilling."""
        if self.hash_learner == "ksh":
            return HashLearning(
                optimizer=self.hash_optimizer,
                start=self.hash_start,
                iterations=self.hash_iterations,
            )
        return Distilling(
            objective=self.hash_learner, steps=self.hash_iterations, lr=self.hash_lr
        )


def train(network, training, out, progress=SILENT, resume=True, start=None, control=True):
    """Train both networks; write what they are and how they became so.

    Files: ``pretrained.pt`` after step 1, ``ecoformer.pt`` and ``softmax.pt`` after step 2,
    ``metrics.json``.

    The state is kept in ``out/checkpoints`` after every epoch. A second call with the same
    settings goes on where the first stopped and ends with the same bytes. Every run works on one
    thread, so that the number of cores does not change a bit; the runs of step 2 share the cores.

    Parameters
    ----------
    network : NetworkConfig
        Shape of the network.
    training : TrainingConfig
        How it is trained.
    out : Path
        Folder for the results; made when missing.
    progress : Progress
        A stage per training run, and the lines worth keeping.
    resume : bool
        Whether checkpoints in ``out`` are used; when not, they are deleted.
    start : VisionTransformer or None
        Softmax network that takes the place of step 1.
    control : bool
        Whether the softmax network is fine-tuned, too.

    Returns
    -------
    dict
        The content of ``metrics.json``: accuracies and separations as fractions, losses in nats,
        times in seconds.

    Raises
    ------
    EcoformerError
        Data missing, checkpoints damaged or of other settings, or a loss that is not finite.
    """
    out = Path(out)
    with _one_thread():
        run = _Run(network, training, out, progress, resume, start)
        pretrained, pretraining = run.pretrain()
        swapped, hashes = run.swap(pretrained)
        starts = {"ecoformer": swapped} | ({"softmax": pretrained} if control else {})
        tuned = run.tune(starts)
        hashes["separation_after_tuning"] = run.separation(tuned["ecoformer"][0])
        scores = {
            "pretrained": run.score(pretrained),
            "ecoformer_after_swap": run.score(swapped),
            **{arm: run.score(model) for arm, (model, _) in tuned.items()},
        }
        metrics = {
            "settings": run.settings,
            "seed": training.seed,
            "torch": torch.__version__,
            "images": {
                part: len(getattr(run.data, part)) for part in ("train", "validation", "held_out")
            },
            "held_out_accuracy": scores,
            "pretraining": {"learning_rate": training.pretrain_lr, "history": pretraining},
            "hashes": hashes,
            **{arm: report for arm, (_, report) in tuned.items()},
            "seconds": {
                "pretraining": _seconds(pretraining),
                "hashes": hashes["seconds"],
                "tuning": sum(
                    _seconds(tried["history"])
                    for _, report in tuned.values()
                    for tried in report["runs"]
                ),
                "wall_of_last_call": time.perf_counter() - run.started,
            },
        }
        save_model(pretrained, out / "pretrained.pt")
        for arm, (model, _) in tuned.items():
            save_model(model, out / f"{arm}.pt")
        write_json(out / "metrics.json", metrics)
        names = {"softmax": "softmax", "ecoformer": "EcoFormer"}
        told = [f"{name} {scores[arm]:.2%}" for arm, name in names.items() if arm in scores]
        progress.line(f"held-out accuracy: {', '.join(told)}")
    return metrics


class _Run:
    """One call of :func:`train`: the phases and what they share."""

    def __init__(self, network, training, out, progress, resume, start=None):
        self.started = time.perf_counter()
        self.network = network
        self.training = training
        self.progress = progress
        self.start = start
        # Through JSON, so that a caller gets the same plain values as a reader of the file.
        self.settings = json.loads(
            json.dumps({"network": asdict(network), "training": asdict(training)})
        )
        if start is not None:
            _check_start(network, start)
            self.settings["start"] = state_digest(start.state_dict())
        self.data = datasets.load(training.data, training.data_path or None, training.seed)
        _check_shape(network, self.data)
        folder = out / "checkpoints"
        folder.mkdir(parents=True, exist_ok=True)
        if not resume:
            for path in folder.glob("*.pt"):
                path.unlink()
        self.fitter = Fitter(self.data, training, self.settings, folder, progress)

    def pretrain(self):
        """Step 1, unless its result was given. Returns (network, history)."""
        t = self.training
        if self.start is not None:
            return deepcopy(self.start), []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(t.seed)
            model = VisionTransformer(self.network)
        history = self.fitter.fit("pretrain", model, t.pretrain_epochs, t.pretrain_lr, stream=0)
        return model, history

    def swap(self, model):
        """Start of step 2. Returns (network with learned, frozen hashes; report)."""
        t = self.training
        started = time.perf_counter()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(t.seed)
            swapped = swap_attention(model, t.attention).eval()
        curves = self.learn_hashes(swapped, model)
        report = {
            "learner": t.hash_learner,
            # By layer. ksh: [bit][iteration], mean over heads, every tenth; else held-out losses.
            "loss_curves": curves,
            "separation_after_swap": self.separation(swapped),
            "seconds": time.perf_counter() - started,
        }
        scores = ", ".join(f"{score:.3f}" for score in report["separation_after_swap"])
        self.progress.line(f"hashes: similar tokens told from dissimilar ones, by layer: {scores}")
        return swapped, report

    def learn_hashes(self, model, teacher=None):
        """Learn the hashes of ``model`` in place; returns loss curves.

        ``teacher`` is the softmax network whose attention is to be had; when None, what softmax
        attention would do in ``model`` itself.
        """
        t = self.training
        generator = torch.Generator().manual_seed(t.seed)
        chosen = torch.randperm(len(self.data.train), generator=generator)[: t.hash_images]
        images = self.data.train.images[chosen]
        if t.hash_learner == "ksh":
            curves = learn_hashes(model, images, t.seed, t.hash_learning)
            return [curve.mean(2)[:, ::10].tolist() for curve in curves]

        batches = images.split(LEARNING_BATCH)
        layers = model.attention_layers()
        asked = layers if teacher is None else teacher.attention_layers()

        def run(network):
            with torch.no_grad():
                for batch in batches:
                    network(batch)

        for layer in layers:
            layer.exact = True
        tape = record(asked, lambda: run(model if teacher is None else teacher))
        targets = [exact_outputs(layer, calls) for layer, calls in zip(asked, tape)]
        names = [f"training, layer {layer.layer}" for layer in layers]
        return distil_layers(layers, lambda: run(model), targets, t.hash_learning, generator, names)

    def tune(self, starts):
        """Rest of step 2 and its control.

        Parameters
        ----------
        starts : dict of str to VisionTransformer
            Starting point of each arm; stays as it is.

        Returns
        -------
        dict of str to (VisionTransformer, dict)
            The network of each arm that is best on the validation part, and a report.
        """
        t = self.training
        jobs = [(arm, lr, deepcopy(start)) for arm, start in starts.items() for lr in t.tune_lrs]

        def tune(job):
            arm, lr, model = job
            torch.set_num_threads(1)  # a setting of the calling thread
            return self.fitter.fit(
                f"{arm} lr {lr}", model, t.tune_epochs, lr, stream=1, before_epoch=refresh
            )

        def refresh(model, epoch):
            if model.attention_config and t.hash_refresh and epoch and epoch % t.hash_refresh == 0:
                self.learn_hashes(model.eval())

        tried = {arm: [] for arm in starts}
        for (arm, lr, model), history in zip(jobs, self._in_parallel(tune, jobs), strict=True):
            tried[arm].append((model, {"learning_rate": lr, "history": history}))
        best = {}
        for arm, runs in tried.items():
            model, chosen = max(runs, key=lambda run: _merit(run[1]["history"][-1]))
            best[arm] = (
                model,
                {
                    "learning_rate": chosen["learning_rate"],
                    "validation_accuracy": chosen["history"][-1]["validation_accuracy"],
                    "runs": [report for _, report in runs],
                },
            )
        return best

    def _in_parallel(self, function, jobs):
        """Results of ``function`` on ``jobs``, on every core; the first error stops all."""
        with ThreadPoolExecutor(min(len(jobs), _cores())) as pool:
            futures = [pool.submit(function, job) for job in jobs]
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
            finally:  # also when this thread is interrupted
                if not all(future.done() for future in futures):
                    self.fitter.stop.set()
                    pool.shutdown(cancel_futures=True)
        errors = [f.exception() for f in futures if not f.cancelled() and f.exception()]
        for error in sorted(errors, key=lambda error: isinstance(error, Stopped)):
            raise error
        return [future.result() for future in futures]

    def score(self, model):
        """Held-out accuracy."""
        return accuracy(model, self.data.held_out.images, self.data.held_out.labels)

    def separation(self, model):
        """Hash quality per layer on validation images, against q·kᵀ, mean over heads."""
        layers = model.attention_layers()
        images = self.data.validation.images[: self.training.hash_images]
        tape = record(layers, lambda: model(images))
        scores = []
        with torch.inference_mode():
            for layer, (call,) in zip(layers, tape, strict=True):
                queries, keys = layer.codes(call.q, call.k)
                score = separation(keys, call.q @ call.k.mT, queries=queries)
                scores.append(score.mean().item())
        return scores


def _seconds(history):
    return sum(record["seconds"] for record in history)


def _merit(record):
    """Accuracy decides between runs; of equal ones the lower loss."""
    return record["validation_accuracy"], -record["validation_loss"]


def _check_start(network, start):
    if start.attention_config is not None:
        raise EcoformerError("start: it has EcoFormer attention; give a softmax network")
    if start.config != network:
        raise EcoformerError(
            f"start: its shape is not that of [network]: {asdict(start.config)}; correct the "
            "configuration"
        )


def _check_shape(network, data):
    _, channels, height, _ = data.train.images.shape
    for name, want in (("image_size", height), ("channels", channels), ("classes", data.classes)):
        if getattr(network, name) != want:
            raise EcoformerError(
                f"[network] {name} must be {want} for the data set {data.name}, not "
                f"{getattr(network, name)}; correct the configuration"
            )


def _cores():
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
