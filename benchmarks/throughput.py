"""Cycles per token, against the best schedule there can be, and how busy accumulate lanes are.

A small engine, because the schedule does not depend on the sizes, but one with a sum of the state
for every cycle of a slot; the compiled simulation.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from results import write_section

from ecoformer.config import Config
from hw.verilog import emit
from sim.rtl import Rtl
from sim.stimulus import random_image, random_workload

SHORT, LONG = 196, 1024
LENGTHS = {
    f"{SHORT}": lambda rng, count: np.full(count, SHORT),
    f"{LONG}": lambda rng, count: np.full(count, LONG),
    f"{SHORT} or {LONG}": lambda rng, count: rng.choice([SHORT, LONG], count),
    f"{SHORT}…{LONG}": lambda rng, count: rng.integers(SHORT, LONG + 1, count),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for k in (1, 16):
            for banks in (2, 4, 8):
                rows += _measure(k, banks, options, Path(folder))
    write_section(
        "Throughput of mixed lengths",
        "make bench-throughput",
        options.seed,
        [
            "lengths", "banks", "k", "cycles per token", "best schedule", "ratio", "utilisation",
            "accumulate lanes busy, steady",
        ],  # fmt: skip
        rows,
    )


def _measure(k, banks, options, folder):
    config = Config(
        head_dim=2, value_dim=4, code_bits=4, anchors=2, max_tokens=LONG, cycles_per_token=k,
        state_banks=banks, parameter_sets=1, bus_bytes=8,
    )  # fmt: skip
    rng = np.random.default_rng(options.seed)
    rtl = Rtl(config, emit(config), random_image(config, rng), folder)
    for name, draw in LENGTHS.items():
        lengths = draw(rng, options.sequences)
        drawn = [random_workload(config, rng, 1, lengths=int(length)) for length in lengths]
        workload = type(drawn[0]).from_sequences(
            sequence for one in drawn for sequence in one.sequences()
        )
        rtl.attend(workload)
        run, tokens = rtl.run, int(lengths.sum())
        yield [
            name, banks, k, f"{run.busy_cycles / tokens:.3f}", f"{run.bound_cycles / tokens:.3f}",
            f"{run.busy_cycles / run.bound_cycles:.4f}", f"{run.utilisation:.1%}",
            f"{run.units['accumulate_lanes']['steady_busy']:.2%}",
        ]  # fmt: skip


if __name__ == "__main__":
    main()
