"""The whole tested matrix: every edge and many random configurations, bit by bit, under stalls.

Every configuration runs at full rate and with gaps and back-pressure, with bad packets in between
where there are any kinds of it, against the integer model.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from results import write_section
from rich.progress import track

from hw.verilog import emit
from sim.faults import FAULTS
from sim.matrix import edge_configs, random_config
from sim.simulate import simulate
from sim.stimulus import random_image, random_workload
from sim.verify import compare

STALLS = (0.0, 0.4)
SEQUENCES = 10
LONGEST = 64
"""Tokens of the longest sequence; an engine for more is tested on shorter ones."""
MOST_SETS = 8
"""Sets loaded, of engines that hold more."""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--random", type=int, default=40, help="random configurations")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--simulator", default="icarus", help="icarus, verilator or compiled")
    options = parser.parse_args()
    configs = {"edges": edge_configs()}
    configs["random"] = {
        f"seed {options.seed + i}": random_config(np.random.default_rng(options.seed + i))
        for i in range(options.random)
    }
    rows, failed = [], []
    for group, members in configs.items():
        started, totals = time.monotonic(), np.zeros(4, dtype=int)
        for name, config in track(members.items(), group, total=len(members)):
            totals += _check(f"{group} {name}", config, options, failed)
        rows.append([
            group, len(members), f"{totals[0]:,}", f"{totals[1]:,}", f"{totals[2]:,}",
            totals[3], f"{time.monotonic() - started:.0f}",
        ])  # fmt: skip
    write_section(
        "Tested matrix",
        "make test-full",
        options.seed,
        ["group", "configurations", "packets", "output words", "codes", "mismatches", "seconds"],
        rows,
    )
    print(*failed, sep="\n")
    sys.exit(bool(failed))


def _check(name, config, options, failed):
    rng = np.random.default_rng(options.seed)
    sets = min(config.parameter_sets, MOST_SETS)
    image = random_image(config, rng, sets=sets)
    workload = random_workload(
        config, rng, SEQUENCES, lengths=(1, min(LONGEST, config.max_tokens)), sets=sets
    )
    faults = {2: "truncated", 5: "unknown_set"}
    if config.max_tokens <= LONGEST:
        faults[7] = "overlong"
    if config.input_beats == 1:
        del faults[2]
    if sets == 1 << config.user_width:
        del faults[5]
    assert set(faults.values()) <= set(FAULTS)
    text, totals = emit(config), np.zeros(4, dtype=int)
    with tempfile.TemporaryDirectory() as folder:
        for stall in STALLS:
            run = simulate(
                config, text, image, workload, stall=stall, seed=options.seed, faults=faults,
                simulator=options.simulator, build_dir=Path(folder),
            )  # fmt: skip
            report = compare(config, image, workload, run)
            totals += (len(workload), report.words, report.codes, len(report.mismatches))
            if not report.ok:
                failed.append(f"{name}, stall {stall}: {config}")
                failed += [f"    {mismatch}" for mismatch in report.mismatches[:5]]
    return totals


if __name__ == "__main__":
    main()
