# SPDX-License-Identifier: Apache-2.0
"""The same measurement for several seeds, some at the same time."""

import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

__all__ = ["add_seeds", "over_seeds"]


def add_seeds(parser: ArgumentParser) -> None:
    """Add the options that `over_seeds` takes, beside ``--seed``."""
    parser.add_argument("--seeds", type=int, default=3, help="so many, from --seed on")
    parser.add_argument("--workers", type=int, default=2, help="seeds at the same time")
    parser.add_argument("--output", type=Path, help="keep models and checkpoints here")


def over_seeds(
    options: Namespace, measure: Callable[[Path, int], list]
) -> tuple[range, np.ndarray]:
    """The seeds, and what ``measure`` returns for the folder of models and each of them [seed, …].

    ``measure`` runs in processes of its own, so it must be picklable.
    """
    seeds = range(options.seed, options.seed + options.seeds)
    with (
        tempfile.TemporaryDirectory() as scratch,
        ProcessPoolExecutor(options.workers) as workers,
    ):
        folder = options.output or Path(scratch)
        jobs = [workers.submit(measure, folder / f"seed-{seed}", seed) for seed in seeds]
        return seeds, np.array([job.result() for job in jobs])
