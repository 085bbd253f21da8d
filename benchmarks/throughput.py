# SPDX-License-Identifier: Apache-2.0
"""Cycles per token, against the best possible schedule, and how busy the accumulate lanes are.

Of one engine with several banks, and of several engines behind one port; the compiled simulation.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.engines import LONG, MEASURED, MIXED_LENGTHS, SEVERAL, WINDOW
from benchmarks.results.section import SIMULATING, arguments, begin
from benchmarks.workloads import random_sequences
from ecoformer.hw.emit.verilog import emit
from ecoformer.sim.rtl import Rtl
from ecoformer.sim.stimulus import random_image
from ecoformer.spec.config import Config

__all__ = ["main"]

SHORT = 196
LENGTHS = {
    f"{SHORT}": lambda rng, count: np.full(count, SHORT),
    f"{LONG}": lambda rng, count: np.full(count, LONG),
    f"{SHORT} or {LONG}": lambda rng, count: rng.choice([SHORT, LONG], count),
    f"{SHORT}…{LONG}": lambda rng, count: rng.integers(SHORT, LONG + 1, count),
}
WINDOWS = {
    "49": lambda rng, count: np.full(count, 49),
    f"1…{WINDOW}": lambda rng, count: rng.integers(1, WINDOW + 1, count),
}
HEADER = ["cycles per token", "best schedule", "ratio", "utilisation", "accumulate lanes busy"]
RATIO = HEADER.index("ratio")


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument(
        "--sequences", type=int, default=100, help="per engine; four times as many of windows"
    )
    run = begin(parser)
    options = run.options
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            [kind, banks, k, *figures]
            for (k, banks), config in MIXED_LENGTHS.items()
            for kind, figures in _measure(config, LENGTHS, options.sequences, options.seed, folder)
        ]
        run.write_section(
            "throughput", "mixed-lengths", "Mixed lengths",
            ["lengths", "banks", "k", *HEADER], rows,
            headline=f"at most {_worst(rows)} × the cycles of the best schedule, one engine",
            tools=SIMULATING,
            engines=[f"measured {name}" for name in MEASURED if name.startswith("mixed lengths")],
        )
        rows = [
            [kind, engines, banks, config.cycles_per_token, *figures]
            for (engines, banks), config in SEVERAL.items()
            for kind, figures in _measure(
                config, WINDOWS, 4 * options.sequences, options.seed, folder
            )
        ]
        run.write_section(
            "throughput", "several-engines", "Several engines",
            ["lengths", "engines", "banks", "k", *HEADER], rows,
            tools=SIMULATING,
            engines=[f"measured {name}" for name in MEASURED if name.startswith("engines")],
        )


def _worst(rows):
    return max(row[3:][RATIO] for row in rows)


def _measure(config: Config, kinds: dict, count: int, seed: int, folder: str) -> Iterator:
    """Name and figures of every kind of lengths."""
    rng = np.random.default_rng(seed)
    rtl = Rtl(config, emit(config), random_image(config, rng), Path(folder))
    for name, draw in kinds.items():
        lengths = draw(rng, count)
        rtl.attend(random_sequences(config, rng, lengths))
        run, tokens = rtl.run, int(lengths.sum())
        busy = run.units["accumulate_lanes"]["steady_busy"]
        yield name, [
            f"{run.busy_cycles / tokens:.3f}", f"{run.bound_cycles / tokens:.3f}",
            f"{run.busy_cycles / run.bound_cycles:.4f}", f"{run.utilisation:.1%}",
            "–" if busy is None else f"{busy:.2%}",  # too few sequences have no steady part
        ]


if __name__ == "__main__":
    main()
