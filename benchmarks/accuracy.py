"""Accuracy of the demo network over several seeds: softmax control, EcoFormer float and integer.

Both arms of a seed share start, data, epochs and the grid of learning rates, of which each takes
the one that does best on the validation part.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from results import write_section

from ecoformer.cli.train import train
from ecoformer.config import Config, read_table
from golden import data as datasets
from golden.evaluation import export
from golden.network import load_model
from golden.training import TrainingConfig


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("configs/demo.toml"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=2, help="first seed")
    parser.add_argument("--output", type=Path, help="keep models and checkpoints here")
    options = parser.parse_args()
    config = Config.load(options.config)
    training = read_table(options.config, "training", TrainingConfig)
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for seed in range(options.seed, options.seed + options.seeds):
            folder = (options.output or Path(scratch)) / f"seed-{seed}"
            scores = train(options.config, folder, seed=seed)["held_out_accuracy"]
            data = datasets.load(training.data, training.data_path or None, seed)
            figures = export(config, load_model(folder / "ecoformer.pt"), data)[2]
            rows.append([
                scores["softmax"], scores["ecoformer"], figures["integer_accuracy"],
                scores["softmax"] - scores["ecoformer"],
                figures["float_accuracy"] - figures["integer_accuracy"],
                figures["mean_code_disagreement"], np.max(figures["code_disagreement"]),
                figures["changed_predictions"],
            ])  # fmt: skip
    table = np.array(rows)
    error = table.std(axis=0, ddof=1) / len(table) ** 0.5 if len(table) > 1 else 0 * table[0]
    write_section(
        f"Accuracy of the demo network on {training.data}",
        f"python benchmarks/accuracy.py --config {options.config} --seeds {options.seeds} "
        f"--seed {options.seed}",
        f"{options.seed}…{options.seed + options.seeds - 1}",
        ["seed", "softmax", "EcoFormer", "integer", "drop of EcoFormer", "drop of integer",
         "code bits ≠ float", "worst head", "changed predictions"],
        [
            [options.seed + i, *(f"{value:.2%}" for value in row[:-1]), f"{row[-1]:.0f}"]
            for i, row in enumerate(table)
        ]
        + [[
            "mean ± s.e.",
            *(f"{m:.2%} ± {e:.2%}" for m, e in zip(table.mean(0)[:-1], error[:-1])),
            f"{table[:, -1].mean():.1f}",
        ]],
    )  # fmt: skip


if __name__ == "__main__":
    main()
