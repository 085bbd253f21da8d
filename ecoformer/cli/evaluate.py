# SPDX-License-Identifier: Apache-2.0
"""``ecoformer evaluate``: quality and speed of trained networks, down to the simulated RTL."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
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
from ecoformer.cli.network.folder import NetworkFolder, is_network
from ecoformer.errors import EcoformerError
from ecoformer.inputs import parse_json, read_bytes
from ecoformer.progress import Progress, show_progress
from ecoformer.spec.config_file import read_table
from ecoformer.spec.network.decoder import DecoderDesign

if TYPE_CHECKING:
    from ecoformer.golden.learn.data import Split
    from ecoformer.golden.learn.recipe import TrainingConfig
    from ecoformer.golden.networks.network import Network
    from ecoformer.golden.networks.pyramid_config import PyramidConfig
    from ecoformer.golden.networks.vit import NetworkConfig
    from ecoformer.golden.quantize.evaluation import CheckedEngine
    from ecoformer.golden.quantize.integer_network import CheckedNetwork, IntegerNetwork

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
            "--data", metavar="NAME|PATH",
            help="Other data: mnist, fashion, cifar10, recall, frames, largest, or a folder of "
            "pictures with test/ or val/; for a decoder names, or a UTF-8 file, all of it.",
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
            help="Folder that 'export --network' wrote: evaluate the whole network, too; or that "
            "'generate --network' made of it: also its RTL.",
        ),
        Source(),
    ] = None,
    images: Annotated[
        int,
        typer.Option(
            "--images", metavar="N", help="Held-out images, or contexts, evenly spread; 0: all."
        ),
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
    """Top-1, top-5, perplexity and speed on what was held out: softmax, float, integers and RTL.

    As far as the model has them: the softmax network and EcoFormer in float of a training folder;
    with --engine also the integer model and the simulated Verilog, whose every word is compared
    with the integer model; with --network the whole network in integers, and where its Verilog was
    generated, that as well. Of a decoder every next character is judged, by its perplexity, too.
    Ends with 1 if a word differs.
    """
    figures = evaluate(
        model, config, data, engine, images, rtl_images, batch, workers, build_dir, network
    )
    write_json(json_file, figures)
    _show(figures)
    if any(entry.get("mismatching_words") for entry in figures["results"].values()):
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
    from ecoformer.golden.learn.accuracy import spread
    from ecoformer.golden.networks.decoder import DecoderConfig
    from ecoformer.golden.quantize.integer_network import load_integer_network

    models = _models(path)
    design = None if engine is None else Design.load(engine, build_dir)
    if design is not None:
        _check_engine(design, models)
    whole = None
    if network is not None:
        whole = load_integer_network(network, models.get("EcoFormer, float"))
    chip = _chip(network, build_dir) if rtl_images else None
    shape = next(iter(models.values())).config
    is_text = isinstance(shape, DecoderConfig)
    training = _text(path, config, data) if is_text else _images(path, config, data)
    results: dict[str, dict] = {}
    unreadable: list[str] = []
    with show_progress() as progress:
        def note(line: str) -> None:
            unreadable.append(line)
            progress.line(line)

        part = spread(_held_out(training, shape, data, workers, note), images)
        judging = _Judging(part, progress, batch, is_text)
        few = judging.of(spread(part, rtl_images)) if rtl_images else None
        for name, model in models.items():
            results[name] = judging.entry(model, name)
        if design is not None:
            results |= _in_hardware(design, models["EcoFormer, float"], judging, few)
        if whole is not None:
            results |= _whole(whole, chip, judging, few)
    return {
        "model": str(path),
        "data": training.data_path or training.data,
        judging.unit: len(part),
        "classes": shape.vocabulary if isinstance(shape, DecoderConfig) else shape.classes,
        "unreadable": unreadable,
        "results": results,
    }


@dataclass(frozen=True)
class _Judging:
    """How forms of a network are judged: on what, and with what to be seen."""

    part: "Split"
    progress: Progress
    batch: int
    is_text: bool

    @property
    def unit(self) -> str:
        return "contexts" if self.is_text else "images"

    def of(self, part: "Split") -> "_Judging":
        """The same on another part."""
        return replace(self, part=part)

    def entry(self, model: Callable, name: str) -> dict:
        """What ``model`` gets right."""
        from ecoformer.golden.learn.accuracy import judge

        score = judge(model, self.part, self.progress, name, self.batch)
        entry = asdict(score) | {"images_per_second": score.images_per_second}
        if not self.is_text:
            del entry["perplexity"]  # integers are no logits there
            return entry
        return {name.replace("images", self.unit): value for name, value in entry.items()}


def _held_out(training, shape, data, workers, note):
    """What is judged: what the training held out, or other data; of a text, all of it."""
    from ecoformer.golden.learn.recipe import TEXTS
    from ecoformer.golden.learn.sources import open_held_out
    from ecoformer.golden.learn.text import whole_text

    if training.data in TEXTS and data not in (None, *TEXTS):
        return whole_text(training, shape)
    part = open_held_out(training, shape, workers, note)
    if training.data not in TEXTS:
        _check_labels(training, part, shape)
    return part


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


def _text(path: Path, config: Path | None, data: str | None) -> "TrainingConfig":
    """What says which text is held out, or is given instead."""
    from ecoformer.golden.learn.recipe import NAMES, TEXTS, TrainingConfig

    training = _recorded_or(path, config, data, TrainingConfig(data="lines"))
    if data is None:
        return training
    if data == NAMES:
        return replace(training, data=data, data_path="")
    if not Path(data).is_file():
        raise EcoformerError(
            f"--data {data}: no such file, and no text of that name; give names or a UTF-8 file"
        )
    kind = training.data if training.data in TEXTS and training.data != NAMES else "lines"
    return replace(training, data=kind, data_path=data)


def _images(path: Path, config: Path | None, data: str | None) -> "TrainingConfig":
    """What says which images are held out, and how they are cut."""
    from ecoformer.golden.learn.data import DATASETS, FOLDER
    from ecoformer.golden.learn.recipe import TrainingConfig

    training = _recorded_or(path, config, data, TrainingConfig())
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


def _recorded_or(path, config, data, otherwise):
    """The [training] of ``config``, or of the record beside a model; else what ``data`` names."""
    record = (path if path.is_dir() else path.parent) / RECORD
    if config is not None:
        return read_table(config, "training", type(otherwise))
    if record.is_file():
        return _recorded(record)
    if data is not None:
        return otherwise
    raise EcoformerError(
        f"{path}: no {RECORD} beside it, which would say what it was trained on; give the data "
        "with --data, or the configuration with -c"
    )


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


def _check_labels(
    training: "TrainingConfig", part: "Split", shape: "NetworkConfig | PyramidConfig"
) -> None:
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
    design: Design, model: "Network", judging: _Judging, few: _Judging | None
) -> Iterator[tuple[str, dict]]:
    """Entries of the integer model and of the RTL of an engine."""
    from ecoformer.golden.integer.engine import IntegerEngine
    from ecoformer.golden.quantize.evaluation import CheckedEngine
    from ecoformer.golden.quantize.inference import (
        EngineAttention,
        override_attention,
    )
    from ecoformer.sim.rtl import Rtl

    config, image, layers = design.config, design.image, model.attention_layers()

    def on(engine, judged, name):
        with override_attention(layers, EngineAttention(config, image, layers, engine)):
            return judged.entry(model, name)

    yield (name := "EcoFormer, integers"), on(IntegerEngine(config, image), judging, name)
    if few is None:
        return
    rtl = Rtl(config, design.verilog, image, design.build_dir)
    checked = CheckedEngine(config, image, rtl)
    yield (name := "EcoFormer, RTL"), on(checked, few, name) | _words(checked)


def _chip(folder: Path | None, build_dir: Path | None) -> NetworkFolder | None:
    """The network in ``folder`` if its Verilog was generated."""
    if folder is None or not is_network(folder):
        return None
    chip = NetworkFolder.load(folder, build_dir)
    if isinstance(chip.design, DecoderDesign) and not chip.design.answer_scores:
        raise EcoformerError(
            f"{folder}: [decoder] answer must be 'scores' for text through the RTL, not "
            f"{chip.design.answer!r}; give --rtl-images 0"
        )
    return chip


def _whole(
    whole: "IntegerNetwork", chip: NetworkFolder | None, judging: _Judging, few: _Judging | None
) -> Iterator[tuple[str, dict]]:
    """Entries of a whole network in integers, and of its Verilog on ``chip``."""
    from ecoformer.golden.quantize.integer_network import CheckedNetwork
    from ecoformer.sim.network.compiled import CompiledNetwork
    from ecoformer.sim.network.text import scores_of

    yield (name := "whole network, integers"), judging.entry(whole, name)
    if few is None or chip is None:
        return
    design = chip.design
    network = CompiledNetwork.of_verilog(
        design, chip.verilog, chip.build_dir, progress=judging.progress
    )

    def answer(images):
        if isinstance(design, DecoderDesign):
            return scores_of(design, network, images)
        return network.run(images).scores

    checked = CheckedNetwork(whole, answer)
    yield (name := "whole network, RTL"), few.entry(checked, name) | _words(checked)


def _words(checked: "CheckedEngine | CheckedNetwork") -> dict[str, int]:
    return {"words": checked.words, "mismatching_words": checked.mismatches}


def _show(figures):
    table = Table(title=f"{figures['model']} on {figures['data']}", title_justify="left")
    table.add_column("", style="bold")
    ranked, unit = figures["classes"] > 5, "images" if "images" in figures else "contexts"
    shown = {
        unit: lambda entry: f"{entry[unit]:,}",
        **({} if unit == "images" else {"perplexity": lambda entry: f"{entry['perplexity']:.3f}"}),
        "top-1": lambda entry: f"{entry['top1']:.2%}",
        **({"top-5": lambda entry: f"{entry['top5']:.2%}"} if ranked else {}),
        f"{unit}/s": lambda entry: f"{entry[f'{unit}_per_second']:,.1f}",
    }
    for name in (*shown, "words ≠ integer"):
        table.add_column(name, justify="right")
    for name, entry in figures["results"].items():
        words = entry.get("words")
        table.add_row(
            name, *(show(entry) for show in shown.values()),
            "" if words is None else f"{entry['mismatching_words']:,} of {words:,}",
        )
    make_console().print(table)
    if figures["unreadable"]:
        print(f"{len(figures['unreadable'])} pictures could not be read; grey was shown.")
