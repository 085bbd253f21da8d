"""Random fault scripts on small engines of every kind: nothing lost, nothing twice, nothing hangs.

Bad packets, soft resets, COMMITs, stalls and ``aresetn`` at random cycles, on the compiled engines;
every beat and every counter is compared with what the contract asks for.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from benchmarks.results import write_section
from ecoformer.hw.emit.verilog import emit
from ecoformer.progress import show_progress
from ecoformer.sim.stimulus import random_image
from ecoformer.spec.config import Config
from ecoformer.spec.registers import Error
from tests.sim.fault_scripts import Outcome, random_script, run_scripts

BUILDS = Path("build/fault_scripts")
BASE = dict(
    head_dim=4, value_dim=3, code_bits=5, anchors=3, max_tokens=12, cycles_per_token=4,
    parameter_sets=3, bus_bytes=2,
)  # fmt: skip
CONFIGS = {
    "narrow bus": Config(**BASE),
    "a token every cycle, wide bus": Config(**BASE | {"cycles_per_token": 1, "bus_bytes": 16}),
    "a beat per byte": Config(**BASE | {"cycles_per_token": 16, "bus_bytes": 1}),
    "no tuser": Config(**BASE | {"tuser_width": 0, "bus_bytes": 3}),
    "no tuser, a token every cycle": Config(
        **BASE | {"tuser_width": 0, "cycles_per_token": 1, "bus_bytes": 8}
    ),
    "tuser of 16 bits": Config(**BASE | {"tuser_width": 16, "state_banks": 4}),
    "one token, one set": Config(**BASE | {"max_tokens": 1, "parameter_sets": 1}),
    "xnor": Config(**BASE | {"dataflow": "xnor", "cycles_per_token": 8}),
    "xnor, no tuser": Config(**BASE | {"dataflow": "xnor", "tuser_width": 0}),
    "tables": Config(**BASE | {"dataflow": "bucketed"}),
    "tables, a token every cycle": Config(
        **BASE | {"dataflow": "bucketed", "cycles_per_token": 1, "bus_bytes": 16}
    ),
    "softmax": Config(**BASE | {"hash": "none", "dataflow": "softmax", "cycles_per_token": 8}),
    "two engines": Config(**BASE | {"engines": 2, "cycles_per_token": 8}),
    "three engines, xnor, no tuser": Config(
        **BASE | {"engines": 3, "cycles_per_token": 16, "dataflow": "xnor", "tuser_width": 0}
    ),
    "one multiplier": Config(**BASE | {"cycles_per_token": 64, "output_width": 24}),
}
BATCH = 25
"""Scripts per run of the simulator."""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scripts", type=int, default=1000, help="scripts over all engines")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    each = -(-options.scripts // len(CONFIGS))
    outcomes = {}
    for number, (name, config) in enumerate(CONFIGS.items()):
        rng = np.random.default_rng([options.seed, number])
        image = random_image(config, rng, sets=max(1, config.parameter_sets - 1))
        outcomes[name], text = Outcome(), emit(config)
        with show_progress() as progress:
            for start in range(0, each, BATCH):
                count = min(BATCH, each - start)
                scripts = [random_script(config, rng, image) for _ in range(count)]
                outcomes[name].add(run_scripts(config, text, image, scripts, BUILDS))
                progress.update(name, start + count, each)
    outcomes["all"] = Outcome()
    for name in CONFIGS:
        outcomes["all"].add(outcomes[name])
    kinds = [*(error.name for error in Error if error is not Error.DENOMINATOR), "reset", "reload"]
    write_section(
        "Fault scripts",
        f"make bench-faults SCRIPTS={options.scripts}",
        options.seed,
        ["engine", "scripts", "answers", "exact results", *kinds, "mismatches", "hangs"],
        [
            [
                name, o.scripts, f"{o.packets:,}", f"{o.exact:,}",
                *(f"{o.faults[kind]:,}" for kind in kinds), len(o.mismatches), o.hangs,
            ]
            for name, o in outcomes.items()
        ],
    )  # fmt: skip
    failed = outcomes["all"].mismatches
    print(*failed[:50], sep="\n")
    sys.exit(bool(failed or outcomes["all"].hangs))


if __name__ == "__main__":
    main()
