"""Cycles per token, against the best schedule there can be, and how busy accumulate lanes are.

Of one engine with several banks, and of several engines. Small ones, because the schedule does not
depend on the sizes, but with a sum of the state for every cycle of a slot; the compiled simulation.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.results import write_section
from ecoformer.hw.emit.verilog import emit
from ecoformer.sim.rtl import Rtl
from ecoformer.sim.stimulus import random_image, random_workload
from ecoformer.spec.config import Config

SHORT, LONG = 196, 1024
LENGTHS = {
    f"{SHORT}": lambda rng, count: np.full(count, SHORT),
    f"{LONG}": lambda rng, count: np.full(count, LONG),
    f"{SHORT} or {LONG}": lambda rng, count: rng.choice([SHORT, LONG], count),
    f"{SHORT}…{LONG}": lambda rng, count: rng.integers(SHORT, LONG + 1, count),
}
WINDOW = 64
WINDOWS = {
    "49": lambda rng, count: np.full(count, 49),
    "1…64": lambda rng, count: rng.integers(1, WINDOW + 1, count),
}
HEADER = ["cycles per token", "best schedule", "ratio", "utilisation"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _record_mixed(options, Path(folder))
        _record_engines(options, Path(folder))


def _record_mixed(options, folder):
    rows = []
    for k in (1, 16):
        for banks in (2, 4, 8):
            config = _config(LONG, cycles_per_token=k, state_banks=banks)
            measured = _measure(config, LENGTHS, options.sequences, options.seed, folder)
            for name, *figures in measured:
                rows.append([name, banks, k, *figures])
    write_section(
        "Throughput of mixed lengths", "make bench-throughput", options.seed,
        ["lengths", "banks", "k", *HEADER], rows,
    )  # fmt: skip


def _record_engines(options, folder):
    rows = []
    for banks in (2, 4):
        for engines in (1, 2, 4):
            config = _config(WINDOW, cycles_per_token=16, state_banks=banks, engines=engines)
            count = 4 * options.sequences
            measured = _measure(config, WINDOWS, count, options.seed, folder)
            for name, *figures in measured:
                rows.append([name, engines, banks, 16, *figures])
    write_section(
        "Throughput of several engines", "make bench-throughput", options.seed,
        ["lengths", "engines", "banks", "k", *HEADER], rows,
    )  # fmt: skip


def _config(longest, **rate):
    return Config(
        head_dim=2, value_dim=4, code_bits=4, anchors=2, max_tokens=longest, parameter_sets=1,
        bus_bytes=8, **rate,
    )  # fmt: skip


def _measure(config, kinds, count, seed, folder):
    rng = np.random.default_rng(seed)
    rtl = Rtl(config, emit(config), random_image(config, rng), folder)
    for name, draw in kinds.items():
        lengths = draw(rng, count)
        drawn = [random_workload(config, rng, 1, lengths=int(length)) for length in lengths]
        workload = type(drawn[0]).from_sequences(
            sequence for one in drawn for sequence in one.sequences()
        )
        rtl.attend(workload)
        run, tokens = rtl.run, int(lengths.sum())
        yield [
            name, f"{run.busy_cycles / tokens:.3f}", f"{run.bound_cycles / tokens:.3f}",
            f"{run.busy_cycles / run.bound_cycles:.4f}", f"{run.utilisation:.1%}",
            f"{run.units['accumulate_lanes']['steady_busy']:.2%}",
        ]  # fmt: skip


if __name__ == "__main__":
    main()
