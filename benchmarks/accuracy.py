# SPDX-License-Identifier: Apache-2.0
"""Accuracy over several seeds: softmax control, EcoFormer in float and in integers.

The first configuration trains the softmax network and its control; every further one, such as
another hash family, starts from the same softmax network. All arms of a seed share start, data,
epochs and the grid of learning rates; each takes the rate that does best on the validation part.
"""

from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.results.records import ROOT
from benchmarks.results.section import LEARNING, arguments, begin
from benchmarks.seeds import add_seeds, over_seeds
from ecoformer.cli.train import train
from ecoformer.golden.learn import data as datasets
from ecoformer.golden.learn.recipe import TrainingConfig
from ecoformer.golden.networks.vit import load_model
from ecoformer.golden.quantize.evaluation import export
from ecoformer.presets import find_config
from ecoformer.spec.config import Config
from ecoformer.spec.config_file import read_table

__all__ = ["main"]

DATA = {"fashion": "Fashion-MNIST", "mnist": "MNIST"}


def main() -> None:
    parser = arguments(__doc__, seed=2)
    parser.add_argument("configs", type=Path, nargs="*", default=[Path("demo")])
    add_seeds(parser)
    run = begin(parser)
    options = run.options
    # figures [seed, configuration, column]
    seeds, figures = over_seeds(options, partial(measure, options.configs))

    names = [path.stem for path in options.configs]
    rows = [
        [seed, name, *_shown(figures[i, j])]
        for i, seed in enumerate(seeds)
        for j, name in enumerate(names)
    ]
    rows += [["mean ± s.e.", name, *_means(figures[:, j])] for j, name in enumerate(names)]
    summary = rows[-len(names)]
    for j in range(1, len(names)):
        lost = figures[:, 0, 1] - figures[:, j, 1]
        rows.append(["", f"drop of {names[j]} against {names[0]}", "", _mean(lost), *6 * [""]])
    training = read_table(options.configs[0], "training", TrainingConfig)
    title = DATA.get(training.data, training.data)
    run.write_section(
        "accuracy", training.data, title,
        ["seed", "network", "softmax", "EcoFormer", "drop", "integer", "drop of integer",
         "changed predictions", "code bits ≠ float", "worst head"],
        rows,
        headline=f"{title}: softmax {summary[2]}, EcoFormer {summary[3]}, in integers {summary[5]}",
        seed=f"{seeds[0]}…{seeds[-1]}", tools=LEARNING,
        files=[
            str(path.relative_to(ROOT))
            for path in (find_config(name).resolve() for name in options.configs)
            if path.is_relative_to(ROOT)
        ],
    )


def measure(configs: list[Path], output: Path, seed: int) -> list[list[float]]:
    """Figures [configuration][column] of one seed."""
    rows, pretrained, softmax = [], None, None
    for path in configs:
        folder = output / path.stem
        metrics = train(path, folder, seed=seed, start=pretrained, control=pretrained is None)
        scores = metrics["held_out_accuracy"]
        pretrained = pretrained or folder / "pretrained.pt"
        softmax = scores.get("softmax", softmax)
        training = read_table(path, "training", TrainingConfig)
        data = datasets.load(training.data, training.data_path or None, seed)
        report = export(Config.load(path), load_model(folder / "ecoformer.pt"), data)[2]
        rows.append([
            softmax, scores["ecoformer"], report["integer_accuracy"],
            report["mean_code_disagreement"], np.max(report["code_disagreement"]),
            report["changed_predictions"],
        ])
    return rows


def _shown(figures):
    softmax, ecoformer, integer, disagreement, worst, changed = figures
    shares = (softmax, ecoformer, softmax - ecoformer, integer, ecoformer - integer)
    return [*(f"{x:.2%}" for x in shares), f"{changed:.0f}", f"{disagreement:.2%}", f"{worst:.2%}"]


def _means(figures):
    softmax, ecoformer, integer, disagreement, worst, changed = figures.T
    shares = (softmax, ecoformer, softmax - ecoformer, integer, ecoformer - integer)
    return [*map(_mean, shares), f"{changed.mean():.1f}", _mean(disagreement), _mean(worst)]


def _mean(values):
    error = values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return f"{values.mean():.2%} ± {error:.2%}"


if __name__ == "__main__":
    main()
