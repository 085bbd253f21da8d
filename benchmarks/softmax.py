# SPDX-License-Identifier: Apache-2.0
"""EcoFormer attention against softmax attention in hardware, simulated.

Both engines come from the same generator, with the same pins, normaliser, table and banks. The
linear one hashes in 16 cycles per token; the softmax one takes a cycle per pair of tokens with no
more multipliers, counted as products in the Verilog. At full rate the comparison is with 1,024
multiply-accumulates per cycle that are never idle, an ideal that nobody has built.
"""

import argparse
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.engines import FULL_RATE, LONGEST, SIDE_BY_SIDE
from benchmarks.results.section import SIMULATING, arguments, begin
from benchmarks.workloads import random_sequences
from ecoformer.hw.emit.verilog import emit
from ecoformer.sim.rtl import Rtl
from ecoformer.sim.stimulus import random_image

__all__ = ["main"]

PARTS = ("cycles", "full-rate")
LENGTHS = (196, 784, 2_048, LONGEST)
MACS = 1024


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--sequences", type=int, default=4)
    run = begin(parser)
    options = run.options
    if "cycles" in options.parts:
        rows = list(cycles(options))
        run.write_section(
            "softmax", "cycles", "Cycles, on no more multipliers",
            ["N", "softmax, cycles", "EcoFormer, cycles", "fewer", "multipliers, softmax",
             "EcoFormer", "fewer at equal multipliers"],
            rows,
            headline=f"N = {rows[-1][0]:,}: {rows[-1][3]} fewer cycles, {rows[-1][6]} at equal "
            "multipliers",
            tools=SIMULATING,
            engines=[f"measured side by side, {name}" for name in SIDE_BY_SIDE],
        )
    if "full-rate" in options.parts:
        run.write_section(
            "softmax", "full-rate",
            f"Full rate against softmax with {MACS:,} perfect multiply-accumulates",
            ["N", "E", "softmax, 2·N²·E/1024", "EcoFormer back to back", "fewer", "isolated",
             "fewer"],
            list(full_rate(options)),
            tools=SIMULATING, engines=["preset full-rate"],
        )


def cycles(options: argparse.Namespace) -> Iterator[list]:
    """Rows of cycles per sequence, back to back, from one simulation for every length."""
    eco, soft = SIDE_BY_SIDE.values()
    texts = {config: emit(config) for config in (eco, soft)}
    products = {config: len(re.findall(r" \* ", text)) for config, text in texts.items()}
    taken = {config: _rates(config, text, LENGTHS, options) for config, text in texts.items()}
    for length in LENGTHS:
        ratio = taken[soft][length] / taken[eco][length]
        yield [
            length, f"{taken[soft][length]:,.0f}", f"{taken[eco][length]:,.0f}", f"{ratio:.1f}×",
            products[soft], products[eco], f"{ratio * products[soft] / products[eco]:.1f}×",
        ]


def full_rate(options: argparse.Namespace) -> Iterator[list]:
    """The row of N = 1,024 and E = 64."""
    config = FULL_RATE
    n, e = config.max_tokens, config.value_dim
    text = emit(config)
    rate = _rates(config, text, [n], options)[n]
    isolated = _run(config, text, [n], options).busy_cycles
    perfect = 2 * n * n * e / MACS
    yield [
        n, e, f"{perfect:,.0f}", f"{rate:,.0f}", f"{perfect / rate:.0f}×", f"{isolated:,}",
        f"{perfect / isolated:.0f}×",
    ]


def _rates(config, text, lengths, options):
    """Steady cycles per sequence, by length."""
    return {
        length: _run(config, text, [length] * options.sequences, options).cycles_per_token * length
        for length in lengths
    }


def _run(config, text, lengths, options):
    rng = np.random.default_rng(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        rtl = Rtl(config, text, random_image(config, rng), Path(folder))
        rtl.attend(random_sequences(config, rng, lengths))
        return rtl.run


if __name__ == "__main__":
    main()
