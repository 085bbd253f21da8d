# SPDX-License-Identifier: Apache-2.0
"""Training in two steps, with a control that shows what the second step costs.

1. A softmax network is trained from scratch. If wanted, it is then fine-tuned with what EcoFormer
   attention becomes with ever more bits, which leaves less for step 2 to mend.
2. Its attention is replaced by EcoFormer attention, hashes are learned, σ is frozen, and the
   network is fine-tuned. The control is the same softmax network, trained for as long on the
   same data. Each arm uses the learning rate that does best on the validation part, from one grid.

Source of the recipe: arXiv 2209.09004, §4.
"""

import json
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import torch

from ecoformer.files import write_json
from ecoformer.golden.attention_config import AttentionConfig
from ecoformer.golden.files import state_digest
from ecoformer.golden.learn.checkpoint import drop_checkpoints
from ecoformer.golden.learn.checks import (
    check_group,
    check_learner,
    check_pictures,
    check_shape,
    check_start,
)
from ecoformer.golden.learn.distill import distil_layers, exact_outputs
from ecoformer.golden.learn.fit import Fitter
from ecoformer.golden.learn.group import ALONE, Group
from ecoformer.golden.learn.networks import LEARNERS, learn_hashes
from ecoformer.golden.learn.parallel import one_thread, run_parallel
from ecoformer.golden.learn.recipe import TrainingConfig
from ecoformer.golden.learn.sources import open_data
from ecoformer.golden.learn.step_config import merit
from ecoformer.golden.learn.together import NETWORK, distil_network
from ecoformer.golden.networks.network import (
    Network,
    Shape,
    check_network,
    make_network,
    save_network,
)
from ecoformer.golden.recording import record
from ecoformer.golden.separation import separation
from ecoformer.golden.stand_ins import CONTROLS, LimitAttention
from ecoformer.progress import SILENT, Progress

__all__ = ["train"]

LEARNING_BATCH = 16
"""Images per batch for learners that hold batches out."""


def train(
    network: Shape,
    attention: AttentionConfig,
    training: TrainingConfig,
    out: Path,
    progress: Progress = SILENT,
    resume: bool = True,
    start: Network | None = None,
    control: bool = True,
    checkpoints: Path | None = None,
    pretrained: Callable[[Path], object] = lambda path: None,
    workers: int = 0,
    group: Group = ALONE,
    save_every: int = 0,
) -> dict:
    """Train both networks; write them, and a report of the training.

    Files: ``pretrained.pt`` after step 1, ``ecoformer.pt`` and ``softmax.pt`` after step 2,
    ``metrics.json``.

    A checkpoint is written to ``checkpoints`` after every epoch, beside it the history as CSV. A
    second call with the same settings resumes where the first stopped and ends with the same bytes;
    where settings of a later step have changed, what earlier steps did is taken over. Every run
    uses one thread, so that the number of cores does not change a bit; the runs of step 2 share the
    cores.

    Parameters
    ----------
    network : NetworkConfig, PyramidConfig or DecoderConfig
        Shape of the network.
    attention : AttentionConfig
        Shape of the attention that replaces softmax attention.
    training : TrainingConfig
        How it is trained.
    out : Path
        Folder for the results; made when missing.
    progress : Progress
        A stage per training run, and the lines worth keeping.
    resume : bool
        Whether checkpoints are used; when not, they are deleted.
    start : VisionTransformer, ImagePyramid, Decoder or None
        Softmax network to use instead of step 1.
    control : bool
        Whether the softmax network is trained as long, too: beside the limit, and in step 2.
    checkpoints : Path or None
        Folder of the checkpoints; ``out/checkpoints`` when None.
    pretrained : callable
        Called with the path of ``pretrained.pt`` as soon as it is written.
    workers : int
        Processes of each run that read and augment pictures; 0: none. No bit depends on them.
    group : Group
        Processes that train together; the runs of step 2 then follow each other. All are given the
        same arguments, but for ``out`` and ``progress``; the first one writes checkpoints.
    save_every : int
        Steps between two checkpoints within an epoch; 0: none.

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
    with one_thread():
        folder = checkpoints or out / "checkpoints"
        run = _Run(
            network, attention, training, folder, progress, resume, start, workers, group,
            save_every,
        )
        softmax, pretraining = run.pretrain()
        out.mkdir(parents=True, exist_ok=True)
        save_network(softmax, out / "pretrained.pt")
        pretrained(out / "pretrained.pt")
        beside = run.beside(softmax, control)
        limit, limiting = beside.pop("limit", (softmax, []))
        as_long, lasting = beside.pop("softmax", (softmax, []))
        converted, hashes = run.replace(limit)
        starts = {"ecoformer": converted} | ({"softmax": as_long} if control else {})
        tuned = run.tune(starts)
        hashes["separation_after_tuning"] = run.separation(tuned["ecoformer"][0])
        measures = {
            "pretrained": run.measure(softmax),
            **({"limit": run.measure(limit)} if limiting else {}),
            **{name: run.measure(model) for name, (model, _) in beside.items()},
            "ecoformer_after_swap": run.measure(converted),
            **{arm: run.measure(model) for arm, (model, _) in tuned.items()},
        }
        metrics = {
            "settings": run.settings,
            "seed": training.seed,
            "torch": torch.__version__,
            run.data.unit: {
                part: len(getattr(run.data, part)) for part in ("train", "validation", "held_out")
            },
            **run.scores(measures),
            "pretraining": {"learning_rate": training.pretrain_lr, "history": pretraining},
            "limit": {"learning_rate": training.limit_lr, "history": limiting},
            "softmax_beside_limit": {"learning_rate": training.limit_lr, "history": lasting},
            "controls": {name: history for name, (_, history) in beside.items()},
            "hashes": hashes,
            **{arm: report for arm, (_, report) in tuned.items()},
            "seconds": {
                "pretraining": _seconds(pretraining),
                "limit": _seconds(limiting) + _seconds(lasting),
                "controls": sum(_seconds(history) for _, history in beside.values()),
                "hashes": hashes["seconds"],
                "tuning": sum(
                    _seconds(tried["history"])
                    for _, report in tuned.values()
                    for tried in report["runs"]
                ),
                "wall_of_last_call": time.perf_counter() - run.started,
            },
        }
        for arm, (model, _) in tuned.items():
            save_network(model, out / f"{arm}.pt")
        write_json(out / "metrics.json", metrics)
        names = {
            "softmax": "softmax", "limit": "limit", "ecoformer": "EcoFormer", "mean": "mean",
            "none": "none",
        }
        what, shown = run.judged
        results = [f"{name} {shown(measures[arm])}" for arm, name in names.items()
                   if arm in measures]
        progress.line(f"held-out {what}: {', '.join(results)}")
    return metrics


class _Run:
    """One call of :func:`train`: the phases and what they share."""

    def __init__(
        self, network, attention, training, folder, progress, resume, start=None, workers=0,
        group=ALONE, save_every=0,
    ):
        self.started = time.perf_counter()
        self.attention = attention
        self.training = training
        self.progress = progress
        self.start = start
        self.group = group
        check_network(network, attention)
        check_learner(attention, training, network.tokens)
        self.data = open_data(training, network, workers, progress.line)
        if self.data.alphabet:
            network = replace(network, alphabet=self.data.alphabet)
        self.network = network
        shape = {"network": asdict(network), "attention": asdict(attention)}
        # Through JSON, so that a caller gets the same plain values as a reader of the file.
        self.settings = json.loads(json.dumps({**shape, "training": asdict(training)}))
        if self.data.alphabet:
            self.settings["text"] = _digest(self.data)
        if start is not None:
            check_start(network, start)
            self.settings["start"] = state_digest(start.state_dict())
        check_shape(network, self.data)
        check_pictures(training, self.data)
        check_group(training, self.data, group)
        if not resume and group.leads:
            drop_checkpoints(folder)
        group.wait()
        self.fitter = Fitter(
            self.data, training, folder, progress, workers, group, save_every
        )

    def settings_of(self, *steps, attention=True):
        """On what a run depends that ends with the last of ``steps``, keys of ``recipe.STEPS``."""
        given = {name: self.settings[name] for name in ("start", "text") if name in self.settings}
        steps = [step for step in steps if step != "pretrain" or "start" not in given]
        return {
            "network": self.settings["network"],
            **({"attention": self.settings["attention"]} if attention else {}),
            "training": self.training.settings(*steps),
            **given,
        }

    def pretrain(self):
        """Step 1, unless its result was given. Returns (network, history)."""
        if self.start is not None:
            model = deepcopy(self.start)
            model.config = self.network  # which says where attention will be replaced
            return model, []
        model = self._make()
        return model, self.fitter.fit(
            "pretrain", model, **self._first, settings=self._first_settings
        )

    def beside(self, softmax, control):
        """What follows step 1 and needs nothing else, side by side.

        Returns
        -------
        dict of str to (network, history)
            ``limit``, if there is that step; ``softmax`` trained as long, with ``control``; and the
            networks that cannot choose what they look at, from scratch.
        """
        t, jobs = self.training, {}
        if t.limit_epochs:
            limit = deepcopy(softmax)
            limit.limit_attention(self.attention)
            step = dict(epochs=t.limit_epochs, lr=t.limit_lr, stream=1)
            jobs["limit"] = limit, step, self.settings_of("pretrain", "limit")
            if control:
                settings = self.settings_of("pretrain", "limit", attention=False)
                jobs["softmax"] = deepcopy(softmax), step, settings
        for name in t.controls:
            model = self._make()
            core = partial(CONTROLS[name], mask=model.attention_layers()[0].mask)
            model.attend_with(lambda heads, layer, core=core: core(heads, layer=layer))
            jobs[name] = model, self._first, self._first_settings

        def fit(name):
            model, step, settings = jobs[name]
            stage = "softmax beside limit" if name == "softmax" else name
            return model, self.fitter.fit(stage, model, **step, settings=settings)

        return dict(zip(jobs, self._side_by_side(fit, [*jobs])))

    def _side_by_side(self, fit, jobs):
        """Results of ``fit`` on ``jobs``, each on one thread; several processes take turns."""

        def alone(job):
            torch.set_num_threads(1)  # a setting of the calling thread
            return fit(job)

        if self.group.size > 1 or not jobs:
            return [alone(job) for job in jobs]
        return run_parallel(alone, jobs, self.fitter.stop)

    @property
    def _first(self):
        """How networks are trained from scratch."""
        t = self.training
        return dict(epochs=t.pretrain_epochs, lr=t.pretrain_lr, stream=0)

    @property
    def _first_settings(self):
        return self.settings_of("pretrain", attention=False)

    def _make(self):
        """A network of random weights, the same ones every time."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.training.seed)
            return make_network(self.network)

    def replace(self, model):
        """Start of step 2. Returns (network with learned, frozen hashes; report)."""
        t = self.training
        started = time.perf_counter()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(t.seed)
            converted = deepcopy(model).eval()
            converted.replace_attention(self.attention)
        curves = self.learn_hashes(converted, model) if self.group.leads else []
        self.group.copy(converted)
        report = {
            "learner": t.hash_learner,
            # By layer. ksh and released: [bit][iteration], mean over heads, every tenth;
            # output and attention: held-out losses; network: those of all layers together.
            "loss_curves": curves,
            "separation_after_swap": self.separation(converted),
            "seconds": time.perf_counter() - started,
        }
        scores = ", ".join(f"{score:.3f}" for score in report["separation_after_swap"])
        self.progress.line(f"hashes: separation of similar from dissimilar, by layer: {scores}")
        return converted, report

    def learn_hashes(self, model, teacher=None):
        """Learn the hashes of ``model`` in place; returns loss curves.

        ``teacher`` is the network to be matched; when None, ``model`` itself with the attention of
        the step before.
        """
        t = self.training
        generator = torch.Generator().manual_seed(t.seed)
        chosen = torch.randperm(len(self.data.train), generator=generator)[: t.hash_images]
        images = self.data.train.images[chosen]
        if t.hash_learner in LEARNERS:
            curves = learn_hashes(model, images, t.seed, t.hash_learning, t.hash_learner)
            return [curve.mean(2)[:, ::10].tolist() for curve in curves]

        batches = images.split(LEARNING_BATCH)
        if t.hash_learner == NETWORK:
            if teacher is None and t.limit_epochs:
                teacher = deepcopy(model)
                teacher.attend_with(
                    lambda heads, layer: LimitAttention(heads, self.attention, layer)
                )
            return [distil_network(model, teacher, batches, t.hash_learning, t.seed)]
        layers = model.attention_layers()
        teachers = layers if teacher is None else teacher.attention_layers()

        def run(network):
            with torch.no_grad():
                for batch in batches:
                    network(batch)

        for layer in layers:
            layer.exact = True
        tape = record(teachers, lambda: run(model if teacher is None else teacher))
        targets = [exact_outputs(layer, calls) for layer, calls in zip(teachers, tape)]
        names = [f"training, layer {layer.layer}" for layer in layers]
        return distil_layers(layers, lambda: run(model), targets, t.hash_learning, generator, names)

    def tune(self, starts):
        """Rest of step 2 and its control.

        Parameters
        ----------
        starts : dict of str to VisionTransformer or ImagePyramid
            Starting point of each arm; left unchanged.

        Returns
        -------
        dict of str to (network, dict)
            The best network of each arm on the validation part, and a report. Without epochs, the
            starting point.
        """
        t = self.training
        settings = {
            "ecoformer": self.settings_of("pretrain", "limit", "hashes", "tune"),
            "softmax": self.settings_of("pretrain", "limit", "tune", attention=False),
        }
        if not t.tune_epochs:
            return {
                arm: (
                    deepcopy(start),
                    {
                        "learning_rate": None,
                        "validation_accuracy":
                            self.fitter.measure(start, self.data.validation).accuracy,
                        "runs": [],
                    },
                )
                for arm, start in starts.items()
            }
        jobs = [(arm, lr, deepcopy(start)) for arm, start in starts.items() for lr in t.tune_lrs]

        def tune(job):
            arm, lr, model = job
            return self.fitter.fit(
                f"{arm} lr {lr}", model, t.tune_epochs, lr, stream=1, settings=settings[arm],
                before_epoch=refresh,
            )

        def refresh(model, epoch):
            if model.attention_config and t.hash_refresh and epoch and epoch % t.hash_refresh == 0:
                if self.group.leads:
                    self.learn_hashes(model.eval())
                self.group.copy(model)

        tried = {arm: [] for arm in starts}
        histories = self._side_by_side(tune, jobs)
        for (arm, lr, model), history in zip(jobs, histories, strict=True):
            tried[arm].append((model, {"learning_rate": lr, "history": history}))
        best = {}
        for arm, runs in tried.items():
            model, chosen = max(runs, key=lambda run: merit(t.kept(run[1]["history"])))
            best[arm] = (
                model,
                {
                    "learning_rate": chosen["learning_rate"],
                    "validation_accuracy": t.kept(chosen["history"])["validation_accuracy"],
                    "runs": [report for _, report in runs],
                },
            )
        return best

    def measure(self, model):
        """How well ``model`` predicts what is held out."""
        return self.fitter.measure(model, self.data.held_out)

    def scores(self, measures):
        """What the metrics have of the measures of networks, by name."""
        scores = {"held_out_accuracy": {arm: m.accuracy for arm, m in measures.items()}}
        if self.data.alphabet:
            scores["held_out_perplexity"] = {arm: m.perplexity for arm, m in measures.items()}
        return scores

    @property
    def judged(self):
        """By what networks are compared in the end, and how it is shown."""
        if self.data.alphabet:
            return "perplexity", lambda measure: f"{measure.perplexity:.3f}"
        return "accuracy", lambda measure: f"{measure.accuracy:.2%}"

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


def _digest(data):
    """SHA-256 of a text, which may change under the same name; images do not."""
    parts = {part: getattr(data, part).labels for part in ("train", "validation", "held_out")}
    return state_digest(parts)


def _seconds(history):
    return sum(record["seconds"] for record in history)
