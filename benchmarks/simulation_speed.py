# SPDX-License-Identifier: Apache-2.0
"""Simulation speed of the demo engine on every simulator, as ratios within one run.

The same workload runs several times on each, in turn, so that a change of the machine's speed hits
all alike; the median is quoted. Builds are not counted.
"""

import tempfile
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.results.section import SIMULATING, arguments, begin
from ecoformer.hw.emit.verilog import emit
from ecoformer.sim.simulate import simulate
from ecoformer.sim.stimulus import random_image, random_workload
from ecoformer.spec.config import Config

__all__ = ["main"]

CONFIG = "demo"
SEQUENCES = {"icarus": 2, "verilator": 20, "compiled": 400}
TITLES = {
    "icarus": "cocotb, Icarus",
    "verilator": "cocotb, Verilator",
    "compiled": "compiled, C++ in the loop",
}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--runs", type=int, default=5)
    run = begin(parser)
    options = run.options
    config = Config.load(CONFIG)
    rng = np.random.default_rng(options.seed)
    image = random_image(config, rng)
    workloads = {
        name: random_workload(config, rng, count, lengths=49) for name, count in SEQUENCES.items()
    }
    text = emit(config)
    speeds = {name: [] for name in SEQUENCES}
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(options.runs + 1):
            for name, workload in workloads.items():
                result = simulate(
                    config, text, image, workload, simulator=name, build_dir=Path(folder),
                    seed=options.seed, trace=False,
                )
                if repeat:  # the first one builds
                    speeds[name].append(result.cycles / result.seconds)
    base = median(speeds["icarus"])
    run.write_section(
        "simulation-speed", "demo", "The demo engine",
        ["simulator", "cycles/s, median", "lowest", "highest", "ratio to Icarus"],
        [
            [
                TITLES[name], f"{median(rates):,.0f}", f"{min(rates):,.0f}", f"{max(rates):,.0f}",
                f"{median(rates) / base:,.0f}",
            ]
            for name, rates in speeds.items()
        ],
        headline=f"compiled simulation: {median(speeds['compiled']):,.0f} cycles/s, "
        f"{median(speeds['compiled']) / base:,.0f} × cocotb on Icarus",
        tools=("cocotb", *SIMULATING), engines=[f"preset {CONFIG}"],
    )


if __name__ == "__main__":
    main()
