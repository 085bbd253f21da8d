# SPDX-License-Identifier: Apache-2.0
"""Accumulate lanes by themselves: cells per bit of the accumulators, and clock frequency.

A block is a `StateArray` with every lane at work in every cycle, as at full rate, and one finished
state beside the running one. Its ports connect to registers, not to pads.
"""

import sys
import tempfile
from pathlib import Path

from benchmarks.devices import ECP5
from benchmarks.results.section import PLACING, arguments, begin
from ecoformer.hw.attention.state import StateArray
from ecoformer.hw.emit.verilog import to_verilog
from ecoformer.hw.synth.flow import place, synthesise
from ecoformer.hw.synth.targets import TARGETS

__all__ = ["main"]

SHAPES = ((1, 1), (4, 4), (16, 1), (4, 8))
WIDTH, VALUE_WIDTH = 18, 8
"""Bits of an accumulator for 1,024 tokens of 8-bit values."""


def main() -> None:
    parser = arguments(__doc__, seed=None)
    parser.add_argument("--seeds", type=int, default=3, help="placer seeds")
    run = begin(parser)
    seeds = list(range(1, run.options.seeds + 1))
    rows = []
    for shape in SHAPES:
        rows.append(_measure(*shape, seeds))
        print(*rows[-1], file=sys.stderr, flush=True)
    run.write_section(
        "synthesis", "lanes", "Accumulate lanes as a block",
        ["signs × values", "lanes", "cells, packed", "cells per bit", "FF", "Fmax MHz, median",
         "best"],
        rows,
        seed=f"1…{seeds[-1]}", tools=PLACING,
    )


def _measure(signs, values, seeds):
    block = StateArray(
        depth=1, input_lanes=signs, output_lanes=values, width=WIDTH, value_width=VALUE_WIDTH,
        banks=1,
    )
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        figures = synthesise(
            to_verilog(block, "block"), "block", TARGETS["ecp5"], folder, units=False
        )
        place(figures, folder, **ECP5, seeds=seeds)
    lanes, cells = signs * values, figures["packed"]["TRELLIS_COMB"]
    return [
        f"{signs} × {values}", lanes, cells, f"{cells / (lanes * WIDTH):.2f}",
        figures["resources"]["FF"], f"{figures['fmax_median_mhz']:.0f}",
        f"{figures['fmax_best_mhz']:.0f}",
    ]


if __name__ == "__main__":
    main()
