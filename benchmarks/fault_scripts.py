# SPDX-License-Identifier: Apache-2.0
"""Random fault scripts on small engines of every kind: nothing lost, nothing twice, nothing hangs.

Bad packets, soft resets, COMMITs, stalls and ``aresetn`` at random cycles, on the compiled engines;
every beat and every counter is compared with what the contract requires.
"""

import sys
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np

from benchmarks.engines import FAULTY, MEASURED
from benchmarks.results.section import SIMULATING, arguments, begin
from ecoformer.hw.emit.verilog import emit
from ecoformer.progress import show_progress
from ecoformer.sim.phases import PHASES
from ecoformer.sim.phases.draw import Draw
from ecoformer.sim.plan import Phase
from ecoformer.sim.verification import PhaseReport, verify
from ecoformer.spec.registers import BESIDE_PACKETS, Error

__all__ = ["main"]

BUILDS = Path("build/fault_scripts")
ROOM = 200_000
"""Cycles that one packet may take; all engines are small."""


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--scripts", type=int, default=1000, help="over all engines")
    run = begin(parser)
    options = run.options
    each = -(-options.scripts // len(FAULTY))
    reports = {}
    for number, (name, config) in enumerate(FAULTY.items()):
        draw = Draw(config, np.random.default_rng([options.seed, number]), ROOM)
        scenes = tuple(islice(PHASES["scripts"].random(draw.going_on()), each))
        phase = Phase(name=name, about="fault scripts", scenes=scenes)
        with show_progress() as progress:
            result = verify(config, emit(config), [phase], build_dir=BUILDS, progress=progress)
        reports[name] = result.phases[0]
    total = PhaseReport(name="all", about="")
    for report in reports.values():
        for count in ("scenes", "sequences", "words"):
            setattr(total, count, getattr(total, count) + getattr(report, count))
        total.happened += report.happened
        total.mismatches += report.mismatches
    reports["all"] = total
    kinds = [*(error.name for error in Error if error not in BESIDE_PACKETS), "reset", "load"]
    run.write_section(
        "fault-scripts", "scripts", "Scripts by engine",
        ["engine", "scripts", "answers", "words", *kinds, "mismatches", "hangs"],
        [
            [
                name, r.scenes, f"{r.sequences:,}", f"{r.words:,}",
                *(f"{r.happened[kind]:,}" for kind in kinds), len(r.mismatches), _hangs(r),
            ]
            for name, r in reports.items()
        ],
        headline=f"{total.sequences:,} answers in {total.scenes:,} scripts: "
        f"{len(total.mismatches)} mismatches, {_hangs(total)} hangs",
        tools=SIMULATING,
        engines=[f"measured {name}" for name in MEASURED if name.startswith("fault scripts")],
    )
    print(*total.mismatches[:50], sep="\n")
    return bool(total.mismatches)


def _hangs(report):
    return Counter(mismatch.stage for mismatch in report.mismatches)["stream"]


if __name__ == "__main__":
    sys.exit(main())
