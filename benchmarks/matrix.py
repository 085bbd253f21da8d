# SPDX-License-Identifier: Apache-2.0
"""The whole tested matrix, bit by bit, under stalls: ends of ranges, pairs of values, random sizes.

Every configuration runs at full rate and with gaps and back-pressure, with every kind of bad packet
that it admits in between, against the integer model.
"""

import sys
import tempfile
import time
from argparse import Namespace
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.results.section import SIMULATING, arguments, begin
from ecoformer.hw.emit.verilog import emit
from ecoformer.progress import show_progress
from ecoformer.sim.faults import impossible_faults
from ecoformer.sim.simulate import simulate
from ecoformer.sim.verify import compare
from ecoformer.spec.config import Config
from tests.matrix import edge_configs, pair_configs, random_config, trial, uncovered_pairs

__all__ = ["main"]

STALLS = (0.0, 0.4)
SEQUENCES = 10
LONGEST_OVERLONG = 64
"""Engines for more tokens than this are not sent a packet that is too long."""
WIDEST_INTERPRETED = {"lanes": 60, "bus_bytes": 128}
"""Lanes of hash and state, and width of the bus; more takes Icarus minutes a run."""


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--random", type=int, default=40, help="random configurations")
    parser.add_argument(
        "--simulator",
        choices=("icarus", "verilator", "compiled"),
        help="of every run; without it Icarus, and for wide engines the compiled simulation",
    )
    parser.add_argument("--workers", type=int, default=2, help="simulations at the same time")
    run = begin(parser)
    options = run.options
    pairs = pair_configs()
    configs = {
        "edges": edge_configs(),
        "pairs": {f"row {i}": config for i, config in enumerate(pairs)},
        "random": {
            f"seed {options.seed + i}": random_config(np.random.default_rng(options.seed + i))
            for i in range(options.random)
        },
    }
    rows, failures, count = [], [], 0
    with ProcessPoolExecutor(options.workers) as workers, show_progress() as progress:
        for group, members in configs.items():
            started, totals = time.monotonic(), np.zeros(4, dtype=int)
            jobs = workers.map(partial(_check, options=options), members.items())
            for done, (counts, failed) in enumerate(jobs, 1):
                progress.update(group, done, len(members))
                totals += counts
                failures += [f"{group} {failure}" for failure in failed]
            count += len(members)
            rows.append([
                group, len(members), f"{totals[0]:,}", f"{totals[1]:,}", f"{totals[2]:,}",
                totals[3], f"{time.monotonic() - started:.0f}",
            ])
    uncovered = uncovered_pairs(pairs)
    failures += [f"no configuration has {pair}" for pair, why in uncovered.items() if not why]
    run.write_section(
        "matrix", "groups", "Groups of configurations",
        ["group", "configurations", "packets", "output words", "codes", "mismatches", "seconds"],
        rows,
        headline=f"{count} configurations, {sum(row[5] for row in rows)} mismatches",
        tools=("cocotb", *SIMULATING),
        engines=list(configs["edges"]),
    )
    for pair, why in uncovered.items():
        print(f"refused pair {pair}: {why}")
    print(*failures, sep="\n")
    return bool(failures)


def _check(member: tuple[str, Config], options: Namespace):
    """Packets, words, codes and mismatches of one configuration, and what failed."""
    name, config = member
    rng = np.random.default_rng(options.seed)
    image, workload = trial(config, rng, SEQUENCES)
    faults = {2: "truncated", 5: "unknown_set", 8: "null_byte"}
    if config.max_tokens <= LONGEST_OVERLONG:
        faults[7] = "overlong"
    impossible = impossible_faults(config, image.sets)
    faults = {i: kind for i, kind in faults.items() if kind not in impossible}
    text, totals, failures = emit(config), np.zeros(4, dtype=int), []
    with tempfile.TemporaryDirectory() as folder:
        for stall in STALLS:
            run = simulate(
                config, text, image, workload, stall=stall, seed=options.seed, faults=faults,
                simulator=options.simulator or _simulator(config), build_dir=Path(folder),
            )
            report = compare(config, image, workload, run)
            totals += (len(workload), report.words, report.codes, len(report.mismatches))
            if not report.ok:
                failures.append(f"{name}, stall {stall}: {config}")
                failures += [f"    {mismatch}" for mismatch in report.mismatches[:5]]
    return totals, failures


def _simulator(config):
    """Icarus, which knows X, while it is quick enough; then the compiled simulation."""
    lanes = config.state_fold.lanes + sum(fold.lanes for fold in config.hash_folds.values())
    widths = {"lanes": config.engines * lanes, "bus_bytes": config.bus_bytes}
    wide = any(widths[name] > limit for name, limit in WIDEST_INTERPRETED.items())
    return "compiled" if wide else "icarus"


if __name__ == "__main__":
    sys.exit(main())
