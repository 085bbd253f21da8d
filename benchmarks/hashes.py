# SPDX-License-Identifier: Apache-2.0
"""Hashes, learned and drawn, in networks that were trained in the limit of many bits.

Nothing is tuned after the swap: what is measured is the hash alone, on tasks that a network which
cannot choose what it looks at does not solve. Every network and every accuracy is kept in
build/hashes, by what it depends on, so that an interrupted run goes on.
"""

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.results.records import ROOT
from benchmarks.results.section import LEARNING, arguments, begin
from benchmarks.results.sources import fingerprint
from benchmarks.swaps import IMAGES, SWAPS, TASKS, put_in, train_limit
from ecoformer.files import write_json
from ecoformer.golden.learn import data as datasets
from ecoformer.golden.learn.parallel import one_thread
from ecoformer.progress import LineProgress

__all__ = ["Cells", "main", "mean_and_error", "table"]

JUDGED = 16
"""Bits at which the loss against the limit is shown."""
BEFORE = {
    "softmax": "softmax", "mean of values": "mean", "no attention": "none",
    "limit of many bits": "limit",
}
"""Networks without codes, as they are shown, and their names in the metrics."""


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--seeds", type=int, default=2, help="of training, from --seed on")
    parser.add_argument("--hash-seeds", type=int, default=5, help="of each trained network")
    parser.add_argument("--bits", type=int, nargs="+", default=[4, 8, 16, 32, 64])
    run = begin(parser)
    options = run.options
    seeds = range(options.seed, options.seed + options.seeds)
    kept = ROOT / "build" / "hashes" / fingerprint(ROOT, ["benchmarks.swaps"])
    for task in options.tasks:
        networks = [
            _measure(task, seed, options.bits, range(options.hash_seeds), kept / f"{task}-{seed}")
            for seed in seeds
        ]
        header, rows, headline = table(networks, options.bits)
        title = TASKS[task].title
        run.write_section(
            "hashes", task, title, header, rows, headline=f"{title}: {headline}",
            tools=LEARNING,
            seed=f"{seeds[0]}…{seeds[-1]}" if len(seeds) > 1 else seeds[0],
            conditions=f"hash seeds 0…{options.hash_seeds - 1}",
            notes=[
                f"{len(seeds)} training seed{'s' if len(seeds) > 1 else ''}, "
                f"{options.hash_seeds} seeds of the hashes each; standard errors are over the "
                f"latter. Hashes are learned or calibrated on {IMAGES} training examples.",
            ],
        )


def _measure(task, seed, bits, hash_seeds, folder):
    """Accuracies of one trained network, as :func:`table` takes them."""
    with one_thread():
        scores = train_limit(task, seed, folder, LineProgress())
        state = scores.pop("state")
        data = datasets.load(task, None, seed)
        cells = Cells(folder / "cells.json")
        found = {
            (swap.hash, swap.learner, b): [
                cells.get(
                    f"{swap.hash}, {swap.learner}, {b} bits, seed {hash_seed}",
                    partial(put_in, swap, b, hash_seed, task, state, data),
                )
                for hash_seed in hash_seeds
            ]
            for swap in SWAPS for b in bits
        }
    return {"scores": scores, "found": found}


class Cells:
    """Accuracies by name, kept in a file after each is measured.

    Parameters
    ----------
    path : Path
        JSON file.
    """

    def __init__(self, path: Path):
        self.path = path
        self.values = json.loads(path.read_text()) if path.exists() else {}

    def get(self, name: str, measure: Callable[[], float]) -> float:
        """The accuracy called ``name``; measured now unless it is there."""
        if name not in self.values:
            self.values[name] = measure()
            write_json(self.path, self.values)
            print(f"{name}: {self.values[name]:.2%}", file=sys.stderr, flush=True)
        return self.values[name]


def table(networks: list[dict], bits: list[int]) -> tuple[list[str], list[list[str]], str]:
    """Header, rows and headline of the accuracies of equal networks with other seeds.

    Parameters
    ----------
    networks : list of dict
        ``scores``: accuracies by name, as in ``metrics.json``; ``found``: those of all seeds of the
        hash by (hash, learner, bits).
    bits : list of int
    """
    header = ["attention", "hash learner", "without codes", *(f"b = {b}" for b in bits)]
    judged = JUDGED in bits
    header += [f"lost at b = {JUDGED}"] if judged else []
    blank = [""] * (len(bits) + judged)
    means = {
        name: np.mean([network["scores"][key] for network in networks])
        for name, key in BEFORE.items()
    }
    rows = [[name, "", f"{mean:.1%}", *blank] for name, mean in means.items()]
    limit, lost = means["limit of many bits"], {}
    for hash, learner in dict.fromkeys(key[:2] for key in networks[0]["found"]):
        cells = [
            mean_and_error([network["found"][hash, learner, b] for network in networks])
            for b in bits
        ]
        row = [f"{hash} hash", learner, "", *map(_percent, cells)]
        if judged:
            mean, error = cells[bits.index(JUDGED)]
            lost[f"{hash}, {learner}"] = limit - mean, error
            row.append(_points(limit - mean, error))
        rows.append(row)
    headline = f"limit {limit:.1%}, mean of values {means['mean of values']:.1%}"
    if judged:
        best = min(lost, key=lambda name: lost[name][0])
        headline += f", {JUDGED} bits lose {_points(*lost[best])} ({best})"
    return header, rows, headline


def mean_and_error(found: list[list[float]]) -> tuple[float, float]:
    """Mean of accuracies [training seed][hash seed], and the standard error over hash seeds.

    Training seeds count as given: the error is that of the mean over these networks.
    """
    values = np.array(found)
    trained, drawn = values.shape
    if drawn < 2:
        return values.mean(), 0.0
    return values.mean(), float((values.var(1, ddof=1).sum() / drawn) ** 0.5 / trained)


def _percent(cell):
    mean, error = cell
    return f"{mean:.1%} ± {error:.1%}"


def _points(mean, error):
    return f"{round(100 * mean, 2) + 0.0:.2f} ± {100 * error:.2f} points"  # never -0.00


if __name__ == "__main__":
    main()
