"""Simulation speed of the demo engine on every simulator, as ratios within one run.

The same workload runs several times on each, in turn, so that a change of the machine's speed hits
all alike; the median is quoted. Builds are not counted.
"""

import argparse
import tempfile
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.results import write_section
from ecoformer.hw.emit.verilog import emit
from ecoformer.sim.simulate import simulate
from ecoformer.sim.stimulus import random_image, random_workload
from ecoformer.spec.config import Config

CONFIG = "demo"
SEQUENCES = {"icarus": 2, "verilator": 20, "compiled": 400}
TITLES = {
    "icarus": "cocotb, Icarus",
    "verilator": "cocotb, Verilator",
    "compiled": "compiled, C++ in the loop",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    config = Config.load(CONFIG)
    rng = np.random.default_rng(options.seed)
    image = random_image(config, rng)
    workloads = {
        name: random_workload(config, rng, count, lengths=49) for name, count in SEQUENCES.items()
    }
    text = emit(config)
    speeds = {name: [] for name in SEQUENCES}
    with tempfile.TemporaryDirectory() as folder:
        for run in range(options.runs + 1):
            for name, workload in workloads.items():
                result = simulate(
                    config, text, image, workload, simulator=name, build_dir=Path(folder),
                    seed=options.seed, trace=False,
                )  # fmt: skip
                if run:  # the first one builds
                    speeds[name].append(result.cycles / result.seconds)
    base = median(speeds["icarus"])
    write_section(
        "Simulation speed of the demo engine",
        "make bench",
        options.seed,
        ["simulator", "cycles/s, median", "lowest", "highest", "ratio to Icarus"],
        [
            [
                TITLES[name], f"{median(found):,.0f}", f"{min(found):,.0f}", f"{max(found):,.0f}",
                f"{median(found) / base:,.0f}",
            ]
            for name, found in speeds.items()
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
