# SPDX-License-Identifier: Apache-2.0
"""``ecoformer export``: from a trained network to the parameter image and real test vectors."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecoformer.cli.common import (
    ConfigOption,
    DataPathOption,
    JsonOption,
    OutputOption,
    show_table,
    write_json,
)
from ecoformer.cli.guard import Range, Source
from ecoformer.cli.quality import quality_panels, show_quality
from ecoformer.errors import EcoformerError
from ecoformer.files import cache_folder, write_atomic
from ecoformer.outputs import OutputFolder
from ecoformer.processes import scratch
from ecoformer.progress import show_progress
from ecoformer.spec.config import Config
from ecoformer.spec.config_file import read_table
from ecoformer.spec.network.decoder import DecoderDesign
from ecoformer.spec.network.design import NetworkDesign
from ecoformer.spec.network.load import Design

if TYPE_CHECKING:
    from ecoformer.golden.networks.network import Network

__all__ = ["command", "export", "network_design", "results"]

EPILOG = "Example: ecoformer export -c demo -m run/ecoformer.pt -o exported"
MARK = "export.json"


def command(
    config: ConfigOption,
    model: Annotated[
        Path, typer.Option("-m", "--model", metavar="FILE", help="Model that 'train' wrote."),
        Source(),
    ],
    output: OutputOption,
    report: Annotated[
        bool,
        typer.Option(
            "--report", help="Assess the hash of every head: a table, warnings, hashes.png."
        ),
    ] = False,
    network: Annotated[
        bool,
        typer.Option(
            "--network",
            help="Quantise the whole network, too: network.safetensors and network.toml.",
        ),
    ] = False,
    tune: Annotated[
        int,
        typer.Option(
            "--tune", metavar="EPOCHS",
            help="Before, train the weights of the whole network to be what the chip holds.",
        ),
        Range(0, 10_000),
    ] = 0,
    data_path: DataPathOption = None,
    json_file: JsonOption = None,
) -> None:
    """Quantise a trained network; write parameters.safetensors, workload.npz and export.json.

    With --report also what every hash keeps of the attention it replaces, and what is wrong with
    those that collapsed. With --network every layer becomes integers, in the widths of the table
    [chip] of the configuration, or of [decoder], and the whole network is compared with the float
    one; --tune trains it first, at the first of tune_lrs, which coarse weights need.
    """
    figures = export(config, model, output, report, network, tune, data_path)
    write_json(json_file, figures)
    unit = "images" if "held_out_images" in figures else "contexts"
    show_table(f"Export to {output}", [
        (f"held-out {unit}", figures[f"held_out_{unit}"]),
        ("accuracy, float", f"{figures['float_accuracy']:.2%}"),
        ("accuracy, integer", f"{figures['integer_accuracy']:.2%}"),
        ("changed predictions", figures["changed_predictions"]),
        ("code bits that differ from float", f"{figures['mean_code_disagreement']:.2%}"),
        *(
            (f"  layer {layer}, by head", "  ".join(f"{rate:.2%}" for rate in heads))
            for layer, heads in enumerate(figures["code_disagreement"])
        ),
        *_network_rows(figures.get("network")),
    ])
    if report:
        show_quality(figures["quality"], figures["code_disagreement"])


def _network_rows(figures):
    if figures is None:
        return []
    return [
        *([("perplexity, float", f"{figures['float_perplexity']:.3f}"),
           ("  whole network in integers", f"{figures['perplexity']:.3f}")]
          if "perplexity" in figures else []),
        ("whole network in integers", f"{figures['accuracy']:.2%}"),
        ("  changed predictions", figures["changed_predictions"]),
        ("  of them now right, wrong", f"{figures['became_right']}, {figures['became_wrong']}"),
    ]


def export(
    config_path: Path, model_path: Path, output: Path, report: bool = False, whole: bool = False,
    epochs: int = 0, data_path: Path | None = None,
) -> dict:
    """Write the folder ``output``; returns its figures as a dict for JSON."""
    if epochs and not whole:
        raise EcoformerError("--tune: trains a whole network; give --network, too")
    if report:
        from ecoformer.golden.quality.plot import save_heat_maps
    from ecoformer.golden.learn.recipe import TrainingConfig
    from ecoformer.golden.learn.sources import open_data
    from ecoformer.golden.networks.network import load_network
    from ecoformer.golden.quantize.evaluation import export as export_heads

    written = results(output, report, whole)
    config = Config.load(config_path)
    network = load_network(model_path)
    design = network_design(config_path, config, network) if whole else None
    training = read_table(config_path, "training", TrainingConfig).at(data_path)
    data = open_data(training, network.config)
    image, workload, figures = export_heads(config, network, data, report)
    with written.writing() as folder:
        image.save(folder / "parameters.safetensors", config)
        workload.save(folder / "workload.npz")
        if design is not None:
            figures["network"] = _write_network(design, network, data, folder, training, epochs)
        if report:
            panels = quality_panels(figures["quality"], figures["code_disagreement"])
            save_heat_maps(folder / "hashes.png", panels, f"Hashes of {Path(model_path).name}")
        write_json(folder / MARK, figures)
    return figures


def network_design(config_path: Path, config: Config, network: "Network") -> Design:
    """The design of a whole network; an EcoformerError where the chip has not all of its layers."""
    from ecoformer.golden.networks.decoder import Decoder
    from ecoformer.golden.quantize.integer_network import design_shape

    shape = design_shape(network)
    if not isinstance(network, Decoder):
        return read_table(config_path, "chip", NetworkDesign, attention=config, **shape)
    return _decoder_design(config_path, config, shape)


def _decoder_design(config_path, config, shape):
    """The table [decoder], which repeats the shape; the alphabet may be left to the model."""
    design = read_table(config_path, "decoder", DecoderDesign, attention=config)
    for name, value in shape.items():
        if (own := getattr(design, name)) != value and own != "":
            raise EcoformerError(
                f"{config_path}: [decoder] {name} must be that of the model, {value!r}, not {own!r}"
            )
    return replace(design, alphabet=shape["alphabet"])


def _write_network(design, network, data, folder, training, epochs):
    from ecoformer.golden.quantize.integer_network import FILES, compare, quantise
    from ecoformer.golden.quantize.tune import tune

    with show_progress() as progress:
        if epochs:
            with scratch(cache_folder("outputs"), "tune-") as checkpoints:
                quantised = tune(design, network, data, training, epochs, checkpoints, progress)
        else:
            quantised = quantise(design, network, data)
        figures = compare(quantised, network, data.held_out, progress)
    design_file, image_file = (folder / name for name in FILES)
    write_atomic(design_file, quantised.design.as_toml())
    quantised.image.save(image_file, quantised.design)
    return figures | {"tuned_epochs": epochs}


def results(output: Path, report: bool = False, network: bool = False) -> OutputFolder:
    """The folder that an export writes, refused if it cannot."""
    names = (
        "parameters.safetensors", "workload.npz", *(["hashes.png"] if report else []),
        *(["network.safetensors", "network.toml"] if network else []),
    )
    return OutputFolder(output, MARK, names)
