"""``ecoformer export``: from a trained network to the parameter image and real test vectors."""

from pathlib import Path
from typing import Annotated

import typer

from ecoformer.cli.common import (
    ConfigOption,
    JsonOption,
    import_room,
    show_table,
    staged,
    write_json,
)
from ecoformer.config import Config, read_table

__all__ = ["command", "export"]

EPILOG = "Example: ecoformer export -c configs/demo.toml -m run/ecoformer.pt -o exported"
MARK = "export.json"


def command(
    config: ConfigOption,
    model: Annotated[
        Path, typer.Option("-m", "--model", metavar="FILE", help="Model that 'train' wrote.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder to write.")],
    json_file: JsonOption = None,
):
    """Quantise a trained network; write parameters.safetensors, workload.npz and export.json."""
    figures = export(config, model, output)
    write_json(json_file, figures)
    show_table(f"Export to {output}", [
        ("held-out images", figures["held_out_images"]),
        ("accuracy, float", f"{figures['float_accuracy']:.2%}"),
        ("accuracy, integer", f"{figures['integer_accuracy']:.2%}"),
        ("changed predictions", figures["changed_predictions"]),
        ("code bits that differ from float", f"{figures['mean_code_disagreement']:.2%}"),
        *(
            (f"  layer {layer}, by head", "  ".join(f"{rate:.2%}" for rate in heads))
            for layer, heads in enumerate(figures["code_disagreement"])
        ),
    ])  # fmt: skip


def export(config_path, model_path, output):
    """Write the folder ``output``; returns its figures as a dict for JSON."""
    evaluation = import_room("golden.evaluation", "learn")
    config = Config.load(config_path)
    network = import_room("golden.network", "learn").load_model(model_path)
    training = read_table(
        config_path, "training", import_room("golden.training", "learn").TrainingConfig
    )
    data = import_room("golden.data", "learn").load(
        training.data, training.data_path or None, training.seed
    )
    image, workload, figures = evaluation.export(config, network, data)
    with staged(output, MARK) as folder:
        image.save(folder / "parameters.safetensors", config)
        workload.save(folder / "workload.npz")
        write_json(folder / MARK, figures)
    return figures
