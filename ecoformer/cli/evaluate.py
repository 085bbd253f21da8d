# SPDX-License-Identifier: Apache-2.0
"""``ecoformer evaluate``: accuracy and speed of trained networks, down to the simulated RTL."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from ecoformer.cli.common import (
    BuildDirOption,
    Design,
    JsonOption,
    WorkersOption,
    make_console,
    write_json,
)
from ecoformer.cli.guard import Range, Source
from ecoformer.errors import EcoformerError
from ecoformer.inputs import parse_json, read_bytes
from ecoformer.progress import Progress, show_progress
from ecoformer.spec.config_file import read_table

if TYPE_CHECKING:
    from ecoformer.golden.learn.accuracy import Score
    from ecoformer.golden.learn.data import Split
    from ecoformer.golden.learn.recipe import TrainingConfig
    from ecoformer.golden.networks.network import Network, Shape

__all__ = ["command", "evaluate"]

EPILOG = (
    "Example: ecoformer evaluate run   Then: ecoformer evaluate run --engine engine --rtl-images 20"
)
RECORD = "metrics.json"
ARMS = ("softmax", "ecoformer")
"""Models in a folder that 'train' wrote."""


def command(
    model: Annotated[
        Path,
        typer.Argument(metavar="MODEL", help="Model that 'train' wrote, or its whole folder."),
        Source(),
    ],
    config: Annotated[
        Path | None,
        typer.Option(
            "-c", "--config", metavar="CONFIG",
            help="Configuration whose [training] names the data [that of the training].",
        ),
        Source(),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data", metavar="NAME|DIR",
            help="Other data: mnist, fashion, cifar10, recall, frames, largest, or a folder of "
            "pictures with test/ or val/.",
        ),
    ] = None,
    engine: Annotated[
        Path | None,
        typer.Option(
            "--engine", metavar="DIR",
            help="Engine that 'generate' made of the model's parameters: evaluate it in integers "
            "and on the RTL, too.",
        ),
        Source(),
    ] = None,
    network: Annotated[
        Path | None,
        typer.Option(
            "--network", metavar="DIR",
            help="Folder that 'export --network' wrote: evaluate the whole network, too.",
        ),
        Source(),
    ] = None,
    images: Annotated[
        int, typer.Option("--images", metavar="N", help="Held-out images, evenly spread; 0: all."),
        Range(0, 100_000_000),
    ] = 0,
    rtl_images: Annotated[
        int,
        typer.Option("--rtl-images", metavar="N", help="Of those, through the simulated RTL."),
        Range(0, 1_000_000),
    ] = 10,
    batch: Annotated[
        int, typer.Option("--batch", metavar="N", help="Images at once."), Range(1, 10_000)
    ] = 100,
    workers: WorkersOption = 2,
    build_dir: BuildDirOption = None,
    json_file: JsonOption = None,
) -> None:
    """Top-1, top-5 and images a second on held-out images: softmax, float, integers and RTL.

    As far as the model has them: the softmax network and EcoFormer in float of a training folder;
    with --engine also the integer model and the simulated Verilog, whose every word is compared
    with the integer model; with --network the whole network in integers. Ends with 1 if a word
    differs.
    """
    figures = evaluate(
        model, config, data, engine, images, rtl_images, batch, workers, build_dir, network
    )
    write_json(json_file, figures)
    _show(figures)
    rtl = figures["results"].get("EcoFormer, RTL", {})
    if rtl.get("mismatching_words"):
        raise typer.Exit(1)


def evaluate(
    path: Path,
    config: Path | None = None,
    data: str | None = None,
    engine: Path | None = None,
    images: int = 0,
    rtl_images: int = 10,
    batch: int = 100,
    workers: int = 0,
    build_dir: Path | None = None,
    network: Path | None = None,
) -> dict:
    """Evaluate every form of the network at ``path``; returns the figures, JSON-ready."""
    from ecoformer.golden.learn.accuracy import judge, spread
    from ecoformer.golden.learn.sources import open_held_out
    from ecoformer.golden.quantize.integer_network import load_integer_network

    models = _models(path)
    design = None if engine is None else Design.load(engine, build_dir)
    if design is not None:
        _check_engine(design, models)
    whole = None
    if network is not None:
        whole = load_integer_network(network, models.get("EcoFormer, float"))
    shape = next(iter(models.values())).config
    training = _training(path, config, data)
    results: dict[str, dict] = {}
    unreadable: list[str] = []
    with show_progress() as progress:
        def note(line: str) -> None:
            unreadable.append(line)
            progress.line(line)

        part = open_held_out(training, shape, workers, note)
        _check_labels(training, part, shape)
        part = spread(part, images)
        for name, model in models.items():
            results[name] = _entry(judge(model, part, progress, name, batch))
        if design is not None:
            few = spread(part, rtl_images) if rtl_images else None
            model = models["EcoFormer, float"]
            results |= _in_hardware(design, model, part, few, progress, batch)
        if whole is not None:
            name = "whole network, integers"
            results[name] = _entry(judge(whole, part, progress, name, batch))
    return {
        "model": str(path),
        "data": training.data_path or training.data,
        "images": len(part),
        "classes": shape.classes,
        "unreadable": unreadable,
        "results": results,
    }


def _models(path: Path) -> dict[str, "Network"]:
    from ecoformer.golden.networks.network import load_network

    files = [path]
    if path.is_dir():
        files = [file for arm in ARMS if (file := path / f"{arm}.pt").is_file()]
        if not files:
            raise EcoformerError(
                f"{path}: no {' or '.join(f'{arm}.pt' for arm in ARMS)}; give a folder that "
                "'train' has finished, or a model file"
            )
    models = {}
    for file in files:
        model = load_network(file)
        models["softmax, float" if model.attention_config is None else "EcoFormer, float"] = model
    return models


def _training(path: Path, config: Path | None, data: str | None) -> "TrainingConfig":
    """What says which images are held out, and how they are cut."""
    from ecoformer.golden.learn.data import DATASETS, FOLDER
    from ecoformer.golden.learn.recipe import TrainingConfig

    record = (path if path.is_dir() else path.parent) / RECORD
    if config is not None:
        training = read_table(config, "training", TrainingConfig)
    elif record.is_file():
        training = _recorded(record)
    elif data is not None:
        training = TrainingConfig()
    else:
        raise EcoformerError(
            f"{path}: no {RECORD} beside it, which would say what it was trained on; give the data "
            "with --data, or the configuration with -c"
        )
    if data is None:
        return training
    if data in DATASETS:
        same = data == training.data
        return replace(training, data=data, data_path=training.data_path if same else "")
    if not Path(data).is_dir():
        raise EcoformerError(
            f"--data {data}: no such folder, and no data set of that name; give "
            f"{', '.join(DATASETS)} or a folder"
        )
    return replace(training, data=FOLDER, data_path=data)


def _recorded(record):
    from ecoformer.golden.learn.recipe import TrainingConfig

    try:
        values = parse_json(read_bytes(record))["settings"]["training"]
        return TrainingConfig(**{
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        })
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EcoformerError(
            f"{record}: does not say what was trained on ({error}); give the configuration with -c"
        ) from error


def _check_labels(training: "TrainingConfig", part: "Split", shape: "Shape") -> None:
    wanted = (shape.channels, shape.image_size, shape.image_size)
    if tuple(part.images.shape[1:]) != wanted or int(part.labels.max()) >= shape.classes:
        channels, height, width = part.images.shape[1:]
        raise EcoformerError(
            f"data {training.data_path or training.data}: {channels} × {height} × {width} pixels "
            f"and {int(part.labels.max()) + 1} classes; the model takes {wanted[0]} × {wanted[1]} "
            f"× {wanted[2]} and has {shape.classes}: give other --data"
        )


def _check_engine(design: Design, models: dict[str, "Network"]) -> None:
    from ecoformer.golden.quantize.calibration import check_layers

    model = models.get("EcoFormer, float")
    if model is None:
        raise EcoformerError("--engine: the model has softmax attention; give an EcoFormer model")
    layers = model.attention_layers()
    check_layers(design.config, layers, model.config.tokens)
    heads = sum(layer.heads for layer in layers)
    if design.image.sets != heads:
        raise EcoformerError(
            f"{design.folder}: {design.image.sets} parameter sets, but the model has {heads} heads "
            "in all layers; generate the engine with -p and the parameters of this model"
        )


def _in_hardware(
    design: Design, model: "Network", part: "Split", few: "Split | None",
    progress: Progress, batch: int,
) -> Iterator[tuple[str, dict]]:
    """Entries of the integer model and of the RTL."""
    from ecoformer.golden.integer.engine import IntegerEngine
    from ecoformer.golden.learn.accuracy import judge
    from ecoformer.golden.quantize.evaluation import CheckedEngine
    from ecoformer.golden.quantize.inference import (
        EngineAttention,
        override_attention,
    )
    from ecoformer.sim.rtl import Rtl

    config, image, layers = design.config, design.image, model.attention_layers()

    def on(engine, images, name):
        with override_attention(layers, EngineAttention(config, image, layers, engine)):
            return _entry(judge(model, images, progress, name, batch))

    yield (name := "EcoFormer, integers"), on(IntegerEngine(config, image), part, name)
    if few is None:
        return
    rtl = Rtl(config, design.verilog, image, design.build_dir)
    checked = CheckedEngine(config, image, rtl)
    name = "EcoFormer, RTL"
    entry = on(checked, few, name)
    yield name, entry | {"words": checked.words, "mismatching_words": checked.mismatches}


def _entry(score: "Score") -> dict:
    return asdict(score) | {"images_per_second": score.images_per_second}


def _show(figures):
    table = Table(title=f"{figures['model']} on {figures['data']}", title_justify="left")
    table.add_column("", style="bold")
    ranked = figures["classes"] > 5
    for name in ("images", "top-1", *(["top-5"] if ranked else []), "images/s", "words ≠ integer"):
        table.add_column(name, justify="right")
    for name, entry in figures["results"].items():
        words = entry.get("words")
        table.add_row(
            name, f"{entry['images']:,}", f"{entry['top1']:.2%}",
            *([f"{entry['top5']:.2%}"] if ranked else []), f"{entry['images_per_second']:,.1f}",
            "" if words is None else f"{entry['mismatching_words']:,} of {words:,}",
        )
    make_console().print(table)
    if figures["unreadable"]:
        print(f"{len(figures['unreadable'])} pictures could not be read; grey was shown.")
