# SPDX-License-Identifier: Apache-2.0
"""``ecoformer train``: the float networks and their hash functions, for images or text."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ecoformer.cli.common import (
    ConfigOption,
    DataPathOption,
    JsonOption,
    OtherSeedOption,
    RestartOption,
    WorkersOption,
    show_table,
    write_json,
)
from ecoformer.cli.guard import Range, Source, TargetFolder
from ecoformer.files import cache_folder
from ecoformer.outputs import OutputFolder
from ecoformer.processes import scratch
from ecoformer.progress import SILENT, show_progress
from ecoformer.spec.config_file import read_table

__all__ = ["OTHERS", "command", "results", "train"]

ARMS = {"softmax": "softmax", "ecoformer": "EcoFormer"}
OTHERS = {
    "limit": "limit of many bits,", "mean": "mean of values,", "none": "no attention,",
}
"""What else is trained, as it stands before what is told of it."""

MARK = "metrics.json"
EPILOG = "Example: ecoformer train -c demo -o run   Then: ecoformer export --help"


def command(
    config: ConfigOption,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="DIR", help="Folder for models and checkpoints."),
        TargetFolder(),
    ],
    seed: OtherSeedOption = None,
    data_path: DataPathOption = None,
    restart: RestartOption = False,
    start: Annotated[
        Path | None,
        typer.Option(
            "--start", metavar="FILE",
            help="Softmax network to begin with, such as the pretrained.pt of an earlier run.",
        ),
        Source(),
    ] = None,
    control: Annotated[
        bool, typer.Option(help="Train the softmax network as long, for comparison.")
    ] = True,
    workers: WorkersOption = 2,
    save_every: Annotated[
        int,
        typer.Option(
            "--save-every", metavar="STEPS",
            help="Steps between two checkpoints within an epoch; 0: after every epoch only.",
        ),
        Range(0, 1_000_000),
    ] = 0,
    curves: Annotated[
        bool, typer.Option("--curves", help="Also draw losses and accuracies: curves.png.")
    ] = False,
    json_file: JsonOption = None,
) -> None:
    """Train a softmax network, swap in EcoFormer attention, fine-tune, and compare.

    An interrupted run resumes where it stopped; settings of a later step may have changed. Writes
    pretrained.pt as soon as the first network is trained, then ecoformer.pt, softmax.pt and
    metrics.json. With a table [decoder] in the configuration, a text is learned. Started by
    'torchrun -m ecoformer train …', all of its processes train together.
    """
    metrics = train(
        config, output, seed=seed, data_path=data_path, resume=not restart, start=start,
        control=control, workers=workers, save_every=save_every, curves=curves,
    )
    if not metrics:  # another process reports
        return
    write_json(json_file, metrics)
    unit = "images" if "images" in metrics else "contexts"
    scores = metrics["held_out_accuracy"]
    arms = [(arm, name) for arm, name in ARMS.items() if arm in metrics]
    show_table(f"Training in {output}", [
        (f"held-out {unit}", metrics[unit]["held_out"]),
        *((f"{name} perplexity", f"{metrics['held_out_perplexity'][arm]:.3f}")
          for arm, name in arms if "held_out_perplexity" in metrics),
        *((f"{name} accuracy", f"{scores[arm]:.2%}") for arm, name in arms),
        *((f"{name} accuracy", f"{scores[arm]:.2%}")
          for arm, name in OTHERS.items() if arm in scores),
        *((f"learning rate, {name}", rate) for arm, name in arms
          if (rate := metrics[arm]["learning_rate"]) is not None),
        ("seconds", round(metrics["seconds"]["wall_of_last_call"])),
    ])


def train(
    config_path: Path,
    output: Path,
    *,
    seed: int | None = None,
    data_path: Path | None = None,
    resume: bool = True,
    start: Path | None = None,
    control: bool = True,
    workers: int = 2,
    save_every: int = 0,
    curves: bool = False,
) -> dict:
    """Train as the configuration says; returns the metrics, nothing in all processes but one."""
    from ecoformer.golden.attention_config import read_attention
    from ecoformer.golden.learn.group import joined
    from ecoformer.golden.learn.recipe import TrainingConfig
    from ecoformer.golden.learn.train import train as train_networks
    from ecoformer.golden.networks.network import (
        kind_of_attention,
        load_network,
        read_network,
    )

    if curves:
        from ecoformer.golden.learn.plot import save_curves
    written = results(output, control, curves)  # refused now, not after hours
    network = read_network(config_path)
    attention, _ = read_attention(config_path, kinds=[kind_of_attention(network)])
    training = read_table(config_path, "training", TrainingConfig).at(data_path)
    if seed is not None:
        training = replace(training, seed=seed)
    softmax = None if start is None else load_network(start)
    checkpoints = Path(output) / "checkpoints"
    with joined() as group:
        if not group.leads:
            with scratch(cache_folder("outputs"), "process-") as folder:
                train_networks(
                    network, attention, training, folder, SILENT, resume, softmax, control,
                    checkpoints, workers=workers, group=group, save_every=save_every,
                )
            return {}
        with written.writing() as folder, show_progress() as progress:
            metrics = train_networks(
                network, attention, training, folder, progress, resume, softmax, control,
                checkpoints, written.publish_early, workers, group, save_every,
            )
            if curves:
                save_curves(folder / "curves.png", _histories(metrics), str(output))
            return metrics


def _histories(metrics):
    """The history of every run, by its name."""
    runs = {
        "pretraining": metrics["pretraining"]["history"], "limit": metrics["limit"]["history"],
        "softmax, beside the limit": metrics["softmax_beside_limit"]["history"],
        **metrics["controls"],
    }
    for arm, name in ARMS.items():
        for run in metrics.get(arm, {}).get("runs", ()):
            runs[f"{name}, {run['learning_rate']:g}"] = run["history"]
    return {name: history for name, history in runs.items() if history}


def results(output: Path, control: bool = True, curves: bool = False) -> OutputFolder:
    """The folder that a training writes, refused if it cannot."""
    names = (
        "pretrained.pt", "ecoformer.pt", *(["softmax.pt"] if control else []),
        *(["curves.png"] if curves else []),
    )
    return OutputFolder(output, MARK, names)
