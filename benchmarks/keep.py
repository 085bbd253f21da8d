# SPDX-License-Identifier: Apache-2.0
"""What ``tkeep`` costs: cells and clock frequency of the same engine with and without it.

The beats divide neither a token nor a result, so padding is checked on one stream and marked on the
other.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks.devices import ECP5
from benchmarks.results.section import PLACING, arguments, begin
from ecoformer.hw.emit.verilog import emit
from ecoformer.hw.synth.flow import place, synthesise
from ecoformer.hw.synth.targets import TARGETS
from ecoformer.spec.config import Config

__all__ = ["main"]

ENGINE = replace(Config.load("smallest"), bus_bytes=12)
TOP = "ecoformer_engine"


def main() -> None:
    parser = arguments(__doc__, seed=None)
    parser.add_argument("--seeds", type=int, default=3, help="placer seeds")
    run = begin(parser)
    seeds = list(range(1, run.options.seeds + 1))
    rows = []
    for marked in (False, True):
        rows.append(_measure(replace(ENGINE, tkeep=marked), seeds))
        print(*rows[-1], file=sys.stderr, flush=True)
    more = int(rows[1][1]) - int(rows[0][1])
    run.write_section(
        "synthesis", "keep", f"`tkeep`, preset `smallest` with beats of {ENGINE.bus_bytes} bytes",
        ["tkeep", "LUT, packed", "FF", "Fmax MHz, least", "median", "best"],
        rows,
        notes=[f"`tkeep` takes {more} LUTs, {100 * more / int(rows[0][1]):.1f} % of the engine."],
        seed=f"1…{seeds[-1]}", tools=PLACING,
    )


def _measure(config, seeds):
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        figures = synthesise(emit(config, TOP), TOP, TARGETS["ecp5"], folder, units=False)
        place(figures, folder, **ECP5, seeds=seeds)
    return [
        "yes" if config.tkeep else "no", figures["packed"]["TRELLIS_COMB"],
        figures["resources"]["FF"],
        *(f"{mhz:.1f}" for mhz in (
            min(run["fmax_mhz"] for run in figures["runs"]), figures["fmax_median_mhz"],
            figures["fmax_best_mhz"],
        )),
    ]


if __name__ == "__main__":
    main()
