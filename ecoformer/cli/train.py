"""``ecoformer train``: the float networks and their hash functions."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ecoformer.cli.common import ConfigOption, JsonOption, import_room, show_table, write_json
from ecoformer.config import read_table

__all__ = ["command", "train"]

EPILOG = "Example: ecoformer train -c configs/demo.toml -o run   Then: ecoformer export --help"


def command(
    config: ConfigOption,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="DIR", help="Folder for models and checkpoints."),
    ],
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Instead of the configuration's.")
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Drop the checkpoints of an interrupted run.")
    ] = False,
    json_file: JsonOption = None,
):
    """Train a softmax vision transformer, swap in EcoFormer attention, fine-tune, and compare.

    An interrupted run goes on where it stopped. Writes softmax.pt, ecoformer.pt, metrics.json.
    """
    metrics = train(config, output, seed=seed, resume=not restart)
    write_json(json_file, metrics)
    scores = metrics["held_out_accuracy"]
    show_table(f"Training in {output}", [
        ("held-out images", metrics["images"]["held_out"]),
        ("softmax accuracy", f"{scores['softmax']:.2%}"),
        ("EcoFormer accuracy", f"{scores['ecoformer']:.2%}"),
        ("learning rate, softmax", metrics["softmax"]["learning_rate"]),
        ("learning rate, EcoFormer", metrics["ecoformer"]["learning_rate"]),
        ("seconds", round(metrics["seconds"]["wall_of_last_call"])),
    ])  # fmt: skip


def train(config_path, output, *, seed=None, resume=True):
    """Train as the tables [network] and [training] say; returns the metrics."""
    training_room = import_room("golden.training", "learn")
    network_room = import_room("golden.network", "learn")
    network = read_table(config_path, "network", network_room.NetworkConfig)
    training = read_table(config_path, "training", training_room.TrainingConfig)
    if seed is not None:
        training = replace(training, seed=seed)
    reporter = import_room("golden.reporting", "learn").default_reporter()
    return training_room.train(network, training, output, reporter, resume)
