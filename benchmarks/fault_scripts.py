# SPDX-License-Identifier: Apache-2.0
"""Random fault scripts on small engines of every kind: nothing lost, nothing twice, nothing hangs.

Bad packets, soft resets, COMMITs, stalls and ``aresetn`` at random cycles, on the compiled engines;
every beat and every counter is compared with what the contract requires.
"""

import sys
from pathlib import Path

import numpy as np

from benchmarks.engines import FAULTY, MEASURED
from benchmarks.results.section import SIMULATING, arguments, begin
from ecoformer.hw.emit.verilog import emit
from ecoformer.progress import show_progress
from ecoformer.sim.stimulus import random_image
from ecoformer.spec.registers import Error
from tests.sim.fault_scripts import Outcome, random_script, run_scripts

__all__ = ["main"]

BUILDS = Path("build/fault_scripts")
BATCH = 25
"""Scripts per run of the simulator."""


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--scripts", type=int, default=1000, help="over all engines")
    run = begin(parser)
    options = run.options
    each = -(-options.scripts // len(FAULTY))
    outcomes = {}
    for number, (name, config) in enumerate(FAULTY.items()):
        rng = np.random.default_rng([options.seed, number])
        image = random_image(config, rng, sets=max(1, config.parameter_sets - 1))
        outcomes[name], text = Outcome(), emit(config)
        with show_progress() as progress:
            for start in range(0, each, BATCH):
                count = min(BATCH, each - start)
                scripts = [random_script(config, rng, image) for _ in range(count)]
                outcomes[name].add(run_scripts(config, text, image, scripts, BUILDS))
                progress.update(name, start + count, each)
    total = Outcome()
    for outcome in outcomes.values():
        total.add(outcome)
    outcomes["all"] = total
    kinds = [*(error.name for error in Error if error is not Error.DENOMINATOR), "reset", "reload"]
    run.write_section(
        "fault-scripts", "scripts", "Scripts by engine",
        ["engine", "scripts", "answers", "exact results", *kinds, "mismatches", "hangs"],
        [
            [
                name, o.scripts, f"{o.packets:,}", f"{o.exact:,}",
                *(f"{o.faults[kind]:,}" for kind in kinds), len(o.mismatches), o.hangs,
            ]
            for name, o in outcomes.items()
        ],
        headline=f"{total.packets:,} answers in {total.scripts:,} scripts: "
        f"{len(total.mismatches)} mismatches, {total.hangs} hangs",
        tools=SIMULATING,
        engines=[f"measured {name}" for name in MEASURED if name.startswith("fault scripts")],
    )
    print(*total.mismatches[:50], sep="\n")
    return bool(total.mismatches or total.hangs)


if __name__ == "__main__":
    sys.exit(main())
