# SPDX-License-Identifier: Apache-2.0
"""Accuracy of a whole network in integers by the weights of its linear layers, over several seeds.

Of every seed one float network is trained as preset chip-adders says. It is quantised with every
kind of weights, each time after as much further training for them, with the same data in the same
order.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.results.section import LEARNING, arguments, begin
from benchmarks.seeds import add_seeds, over_seeds
from ecoformer.cli.export import network_design
from ecoformer.cli.train import train
from ecoformer.golden.learn.recipe import TrainingConfig
from ecoformer.golden.learn.sources import open_data
from ecoformer.golden.networks.network import load_network
from ecoformer.golden.quantize.integer_network import compare
from ecoformer.golden.quantize.tune import tune
from ecoformer.presets import find_config
from ecoformer.spec.choices import Weights
from ecoformer.spec.config import Config
from ecoformer.spec.config_file import read_table

__all__ = ["drops", "main", "measure"]

PRESET = "chip-adders"
EPOCHS = 8
"""Of training for the weights: what `make train-chip-adders` does."""


def main() -> None:
    parser = arguments(__doc__)
    add_seeds(parser)
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of training for the weights")
    run = begin(parser)
    options = run.options
    # figures [seed, float and kinds of weights]
    seeds, figures = over_seeds(options, partial(measure, PRESET, options.epochs))
    rows = [[seed, *(f"{share:.1%}" for share in own)] for seed, own in zip(seeds, figures)]
    rows.append(["mean", *(f"{share:.2%}" for share in figures.mean(axis=0))])
    lost = drops(figures)
    rows.append(["drop from int8", *lost])
    names = list(map(str, Weights))
    coarsest = names.index("ternary")
    run.write_section(
        "networks", "weights", "Weights of a whole network", ["seed", "float", *names], rows,
        headline=f"ternary weights cost {lost[1 + coarsest]} points of accuracy against int8",
        seed=f"{seeds[0]}…{seeds[-1]}", conditions=f"{options.epochs} epochs for the weights",
        tools=LEARNING, files=["ecoformer/presets/chip-adders.toml"],
        notes=["Drops are paired: mean and standard error of the differences, in points."],
    )


def measure(preset: str, epochs: int, folder: Path, seed: int) -> list[float]:
    """Accuracy on held-out images: of the float network, and in integers for every `Weights`."""
    train(preset, folder / "float", seed=seed, control=False)
    path = find_config(preset)
    training = replace(read_table(path, "training", TrainingConfig), seed=seed)
    model = load_network(folder / "float" / "ecoformer.pt")
    data = open_data(training, model.config)
    design = network_design(path, Config.load(path), model)
    shares = []
    for weights in Weights:
        quantised = tune(
            replace(design, weights=weights), model, data, training, epochs, folder / weights
        )
        figures = compare(quantised, model, data.held_out)
        shares.append(figures["accuracy"])
    return [figures["float_accuracy"], *shares]


def drops(figures: np.ndarray) -> list[str]:
    """Cells of the row of differences from int8, of `figures` [seed, float and `Weights`]."""
    int8 = 1 + list(Weights).index(Weights.INT8)
    lost = 100 * (figures[:, int8, None] - figures)
    errors = lost.std(axis=0, ddof=1) / len(lost) ** 0.5 if len(lost) > 1 else 0 * lost[0]
    cells = [f"{mean:.2f} ± {error:.2f}" for mean, error in zip(lost.mean(axis=0), errors)]
    return ["–" if i == int8 else cell for i, cell in enumerate(cells)]


if __name__ == "__main__":
    main()
