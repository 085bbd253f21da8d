# SPDX-License-Identifier: Apache-2.0
"""Fit the LUTs per feature of the estimate of engines to engines that were synthesised.

    python -m benchmarks.estimation.fit

Measures engines drawn at random, keeps what is measured in build/estimation, and writes
``ecoformer/spec/cost/coefficients.json``. Hours; an interrupted run continues. The coefficients are
not negative, and stay near what the hardware suggests as far as the engines allow.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.estimation.engines import draw
from benchmarks.estimation.measure import is_kept, packed
from benchmarks.estimation.solve import solve
from benchmarks.results.records import ROOT
from ecoformer.files import write_json
from ecoformer.progress import show_progress
from ecoformer.spec.config import Config
from ecoformer.spec.cost.estimate import COEFFICIENTS, cells
from ecoformer.spec.cost.features import features

__all__ = ["FIT_SEED", "HELD_SEED", "KEPT", "fit", "held_out", "measured"]

FIT_SEED, HELD_SEED = 1, 2
FIT_COUNT, HELD_COUNT = 60, 30
KEPT = ROOT / "build" / "estimation"
WRITTEN = ROOT / "ecoformer" / "spec" / "cost" / COEFFICIENTS
EXPECTED = {
    "base": 800, "distributed RAM": 1, "distributed RAM, selected bits": 0.4, "bus bits": 0.5,
    "parameter sets": 5, "workers": 100, "worker bits": 2, "token bits": 0.2, "result bits": 1.5,
    "full-rate token bits": 0.5, "dividend bits": 2.5, "digit bits": 1, "held digit bits": 1,
    "quotient bits": 2, "hash": 100, "kernel hash": 200, "int8 product bits": 0.1,
    "pow2 product bits": 3, "ternary product bits": 1, "tree bits": 1, "accumulator bits": 1.1,
    "selected vector bits": 0.6, "kernel lane bits": 10, "waiting dot bits": 0.7,
    "kernel values": 1, "linear core": 400, "signed sum bits": 1.6, "numerator bits": 1.5,
    "selected code bits": 1, "shifted value bits": 0.7, "bank bits": 0.7, "contexts": 100,
    "entry bits": 4, "own value bits": 0.6, "kept bytes": 8, "pairs": 300, "tables": 700,
    "table bits": 1.5, "quadratic core": 500, "compared bits": 3, "weighted sum bits": 1.3,
    "softmax core": 700,
}
"""LUTs per feature, from the hardware: one for a bit of an adder, and so on."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fit", type=int, default=FIT_COUNT, help="engines to fit to")
    parser.add_argument("--held-out", type=int, default=HELD_COUNT, help="engines to compare with")
    parser.add_argument("--kept", action="store_true", help="only those that are measured already")
    options = parser.parse_args()
    known, others = draw(options.fit, FIT_SEED), held_out(options.held_out)
    if options.kept:
        known, others = ([c for c in group if is_kept(c, KEPT)] for group in (known, others))
    engines = known + others
    counts = measured(engines)
    luts = fit(known, counts[: len(known)])
    errors = [
        abs(cells(config, luts) / count - 1)
        for config, count in zip(others, counts[len(known) :])
    ]
    write_json(WRITTEN, {
        "command": "python -m benchmarks.estimation.fit "
                   f"--fit {options.fit} --held-out {options.held_out}"
                   f"{' --kept' if options.kept else ''}",
        "fitted_engines": len(known), "held_out_engines": len(errors),
        "mean_error": round(float(np.mean(errors)), 4), "largest_error": round(max(errors), 4),
        "luts": {name: round(value, 4) for name, value in luts.items()},
    })
    print(f"{len(errors)} engines held out: mean error {np.mean(errors):.1%}, largest "
          f"{max(errors):.1%}", file=sys.stderr)


def held_out(count: int = HELD_COUNT) -> list[Config]:
    """Engines that no fit sees."""
    known = {config.fingerprint for config in draw(FIT_COUNT, FIT_SEED)}
    return [c for c in draw(count, HELD_SEED) if c.fingerprint not in known]


def measured(engines: Sequence[Config], kept: Path = KEPT) -> list[int]:
    """Packed cells of engines; each takes up to a minute unless it is kept."""
    counts = []
    with show_progress() as progress:
        for done, config in enumerate(engines):
            progress.update("engines", done, len(engines))
            counts.append(packed(config, kept)["LUT"])
        progress.update("engines", len(engines), len(engines))
    return counts


def fit(engines: Sequence[Config], counts: Sequence[int]) -> dict[str, float]:
    """LUTs per feature, by least squares of relative errors; none is negative."""
    return solve([features(config) for config in engines], counts, EXPECTED)


if __name__ == "__main__":
    main()
