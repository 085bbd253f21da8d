"""Accumulate lanes by themselves: cells per bit of the accumulators, and clock frequency.

A block is a `StateArray` with every lane at work in every cycle, as at full rate, and one finished
state beside the running one. Its pins are registers' neighbours, not pads.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.results import write_section
from ecoformer.hw.attention.state import StateArray
from ecoformer.hw.emit.verilog import to_verilog
from ecoformer.hw.synth.flow import place, synthesise
from ecoformer.hw.synth.targets import TARGETS

DEVICE, SPEED = "85k", 6
SHAPES = ((1, 1), (4, 4), (16, 1), (4, 8))
WIDTH, VALUE_WIDTH = 18, 8
"""Bits of an accumulator for 1,024 tokens of 8-bit values."""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="placer seeds")
    options = parser.parse_args()
    seeds = list(range(1, options.seeds + 1))
    rows = []
    for shape in SHAPES:
        rows.append(_measure(*shape, seeds))
        print(*rows[-1], file=sys.stderr, flush=True)
    write_section(
        "Accumulate lanes as a block",
        "make bench-lanes",
        f"1…{options.seeds}",
        ["signs × values", "lanes", "cells, packed", "cells per bit", "FF", "Fmax MHz, median",
         "best"],
        rows,
    )  # fmt: skip


def _measure(signs, values, seeds):
    block = StateArray(
        depth=1, input_lanes=signs, output_lanes=values, width=WIDTH, value_width=VALUE_WIDTH,
        banks=1,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        figures = synthesise(
            to_verilog(block, "block"), "block", TARGETS["ecp5"], folder, units=False
        )
        place(figures, folder, device=DEVICE, speed=SPEED, seeds=seeds)
    lanes, cells = signs * values, figures["packed"]["TRELLIS_COMB"]
    return [
        f"{signs} × {values}", lanes, cells, f"{cells / (lanes * WIDTH):.2f}",
        figures["resources"]["FF"], f"{figures['fmax_median_mhz']:.0f}",
        f"{figures['fmax_best_mhz']:.0f}",
    ]  # fmt: skip


if __name__ == "__main__":
    main()
