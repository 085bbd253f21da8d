"""Accuracy over several seeds: softmax control, EcoFormer in float and in integers.

The first configuration trains the softmax network and its control; every further one, such as
another hash family, starts from the same softmax network. All arms of a seed share start, data,
epochs and the grid of learning rates, of which each takes the one that does best on the validation
part.
"""

import argparse
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.results import write_section
from ecoformer.cli.train import train
from ecoformer.golden.learn import data as datasets
from ecoformer.golden.learn.recipe import TrainingConfig
from ecoformer.golden.networks.vit import load_model
from ecoformer.golden.quantize.evaluation import export
from ecoformer.spec.config import Config, read_table


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("configs", type=Path, nargs="*", default=[Path("demo")])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=2, help="first seed")
    parser.add_argument("--workers", type=int, default=2, help="seeds at the same time")
    parser.add_argument("--output", type=Path, help="keep models and checkpoints here")
    options = parser.parse_args()
    seeds = range(options.seed, options.seed + options.seeds)
    with (
        tempfile.TemporaryDirectory() as scratch,
        ProcessPoolExecutor(options.workers) as workers,
    ):
        folder = options.output or Path(scratch)
        jobs = [workers.submit(measure, options.configs, folder, seed) for seed in seeds]
        figures = np.array([job.result() for job in jobs])  # [seed, configuration, column]

    names = [path.stem for path in options.configs]
    rows = [
        [seed, name, *shown(figures[i, j])]
        for i, seed in enumerate(seeds)
        for j, name in enumerate(names)
    ]
    rows += [["mean ± s.e.", name, *means(figures[:, j])] for j, name in enumerate(names)]
    for j in range(1, len(names)):
        lost = figures[:, 0, 1] - figures[:, j, 1]
        rows.append(["", f"drop of {names[j]} against {names[0]}", "", mean(lost), *6 * [""]])
    training = read_table(options.configs[0], "training", TrainingConfig)
    paths = " ".join(map(str, options.configs))
    write_section(
        f"Accuracy on {training.data}",
        f"python -m benchmarks.accuracy {paths} --seeds {options.seeds} --seed {options.seed}",
        f"{seeds[0]}…{seeds[-1]}",
        ["seed", "network", "softmax", "EcoFormer", "drop", "integer", "drop of integer",
         "changed predictions", "code bits ≠ float", "worst head"],
        rows,
    )  # fmt: skip


def measure(configs, output, seed):
    """Figures [configuration][column] of one seed."""
    rows, pretrained, softmax = [], None, None
    for path in configs:
        folder = output / f"seed-{seed}" / path.stem
        metrics = train(path, folder, seed=seed, start=pretrained, control=pretrained is None)
        scores = metrics["held_out_accuracy"]
        pretrained = pretrained or folder / "pretrained.pt"
        softmax = scores.get("softmax", softmax)
        training = read_table(path, "training", TrainingConfig)
        data = datasets.load(training.data, training.data_path or None, seed)
        found = export(Config.load(path), load_model(folder / "ecoformer.pt"), data)[2]
        rows.append([
            softmax, scores["ecoformer"], found["integer_accuracy"],
            found["mean_code_disagreement"], np.max(found["code_disagreement"]),
            found["changed_predictions"],
        ])  # fmt: skip
    return rows


def shown(figures):
    softmax, ecoformer, integer, disagreement, worst, changed = figures
    shares = (softmax, ecoformer, softmax - ecoformer, integer, ecoformer - integer)
    return [*(f"{x:.2%}" for x in shares), f"{changed:.0f}", f"{disagreement:.2%}", f"{worst:.2%}"]


def means(figures):
    softmax, ecoformer, integer, disagreement, worst, changed = figures.T
    shares = (softmax, ecoformer, softmax - ecoformer, integer, ecoformer - integer)
    return [*map(mean, shares), f"{changed.mean():.1f}", mean(disagreement), mean(worst)]


def mean(values):
    error = values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return f"{values.mean():.2%} ± {error:.2%}"


if __name__ == "__main__":
    main()
