# SPDX-License-Identifier: Apache-2.0
"""``ecoformer import``: a checkpoint of the released code, ready for hardware."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ecoformer.cli.common import JsonOption, OutputOption, SeedOption, show_table, write_json
from ecoformer.cli.guard import Range, Source
from ecoformer.errors import EcoformerError
from ecoformer.outputs import OutputFolder

__all__ = ["command", "import_checkpoint"]

EPILOG = (
    "Example: ecoformer import pvt_v2_b0.pth -d images.npz -o imported\n\n"
    "Then: ecoformer generate -c imported/engine.toml -p imported/parameters.safetensors "
    "-o engine   and: ecoformer verify engine -w imported/workload.npz --quick\n\n"
    "The rate is free: cycles_per_token in engine.toml changes no result."
)
MARK = "import.json"
FILES = ("network.pt", "engine.toml", "parameters.safetensors", "workload.npz")
IMAGES = 4
SIDE = 224


def command(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Checkpoint of PVTv2 or Twins-SVT with EcoFormer attention (.pth, .safetensors).",
        ),
        Source(),
    ],
    output: OutputOption,
    data: Annotated[
        Path | None,
        typer.Option(
            "-d", "--data", metavar="FILE",
            help="Calibration: .npz with images, uint8, n × 3 × height × width [synthetic images].",
        ),
        Source(),
    ] = None,
    count: Annotated[
        int, typer.Option("--images", metavar="N", help="Calibration images."),
        Range(1, 10_000),
    ] = IMAGES,
    size: Annotated[
        int | None,
        typer.Option(
            "--image-size", metavar="PIXELS", help="Side of synthetic images [224]."
        ),
        Range(1, 4_096),
    ] = None,
    seed: SeedOption = 0,
    json_file: JsonOption = None,
) -> None:
    """Read a checkpoint in the layout of the released code; write network, engine and parameters.

    Only tensors are read from the file: nothing in it is run. network.pt is the network exactly as
    released; the engine has one parameter set for each head of each layer, with σ frozen at its
    mean over the calibration images and weights rounded to int8. The table says what that changes.
    """
    figures = import_checkpoint(checkpoint, output, data, count=count, size=size, seed=seed)
    write_json(json_file, figures)
    engine = figures["engine"]
    logits = figures["logits"]
    show_table(f"{figures['network']} in {output}", [
        ("calibrated on", f"{figures['calibration_images']} {figures['calibration']}"),
        ("engine", f"D = {engine['head_dim']}, b = {engine['code_bits']}, "
                   f"m = {engine['anchors']}, up to {engine['max_tokens']:,} tokens"),
        ("parameter sets", engine["parameter_sets"]),
        *(
            (f"  block {layer['layer'] + 1}, {layer['tokens']:,} tokens",
             f"{_sets(*layer['sets'])}: bits flipped by freezing σ {layer['bandwidth']:.2%}, "
             f"by integers {layer['integers']:.2%}")
            for layer in figures["layers"]
        ),
        ("logits with integer attention", f"cosine {logits['cosine']:.4f} with the float ones, "
                                          f"same label {logits['same_label']:.0%}"),
    ])


def import_checkpoint(
    checkpoint: Path,
    output: Path,
    data: Path | None = None,
    *,
    count: int = IMAGES,
    size: int | None = None,
    seed: int = 0,
) -> dict:
    """Write the folder ``output``; returns its figures as a dict for JSON."""
    from ecoformer.golden.networks.images import read_images, synthetic_images
    from ecoformer.golden.networks.pyramid_config import NAMED
    from ecoformer.golden.networks.pyramid_file import save_pyramid
    from ecoformer.golden.networks.released import load_released
    from ecoformer.golden.quantize.pyramids import engine_of, export_pyramid

    if data is not None and size is not None:
        raise EcoformerError("--image-size: of synthetic images only; leave it out with --data")
    results = OutputFolder(output, MARK, FILES)
    model = load_released(checkpoint)
    engine_of(model, 1)
    stride, side = model.config.stride, size or SIDE
    if side < stride or side % stride:
        raise EcoformerError(f"--image-size must be a multiple of {stride}, not {side}")
    images = synthetic_images(count, side, seed) if data is None else read_images(data, count)
    config, image, workload, figures = export_pyramid(model, model.pixels(images))
    named = [name for name, shape in NAMED.items() if shape.resembles(model.config)]
    figures = {
        "network": named[0] if named else model.config.family,
        "shape": model.config.as_dict(),
        "calibration": "synthetic images" if data is None else f"images of {data}",
        "image_size": list(images.shape[2:]),
        "engine": asdict(config),
        **figures,
    }
    with results.writing() as folder:
        save_pyramid(model, folder / "network.pt")
        (folder / "engine.toml").write_text(config.as_toml(), encoding="utf-8")
        image.save(folder / "parameters.safetensors", config)
        workload.save(folder / "workload.npz")
        write_json(folder / MARK, figures)
    return figures


def _sets(first, last):
    return f"set {first}" if first == last else f"sets {first} to {last}"
