# SPDX-License-Identifier: Apache-2.0
"""A bitstream for every board, by the one command that a user types.

What the command writes is kept in build/bitstreams.
"""

import json
import resource
import subprocess
import sys
import time

from benchmarks.results.records import ROOT
from benchmarks.results.section import arguments, begin
from benchmarks.targets import TOOLS
from ecoformer.hw.boards.catalogue import BOARDS
from ecoformer.hw.synth.targets import find_target

__all__ = ["main"]

CONFIGS = {"ulx3s": "demo"}
"""Engines other than the boards' own."""
FOLDER = ROOT / "build" / "bitstreams"


def main() -> None:
    parser = arguments(__doc__, seed=None)
    parser.add_argument("--boards", nargs="*", choices=BOARDS, default=list(BOARDS))
    run = begin(parser)
    rows = []
    for name in run.options.boards:
        rows.append(_measure(name))
        print(*rows[-1], file=sys.stderr, flush=True)
    run.write_section(
        "boards", "bitstreams", "Bitstreams",
        ["board", "engine", "FPGA", "logic cells", "block RAM", "clock, MHz", "Fmax, MHz",
         "bitstream", "bytes", "CPU, min", "wall, min"],
        rows,
        headline=f"bitstreams for {len(rows)} boards",
        tools=("amaranth-boards", "apycula", *TOOLS),
        engines=[f"preset {config}" for config in sorted({row[1] for row in rows})],
    )


def _measure(name: str) -> list:
    """The row of a board."""
    board, out = BOARDS[name], FOLDER / name
    config = CONFIGS.get(name, board.preset)
    command = ["board", name, "-c", config, "-o", str(out)]
    begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run([sys.executable, "-m", "ecoformer", *command], check=True)
    wall = time.monotonic() - begun
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    figures = json.loads((out / "board.json").read_text(encoding="utf-8"))
    target = find_target(board.target)
    counts = target.totals(figures["packed"])
    (bitstream,) = out.glob(f"board.{target.pad_flow().bitstream}")
    return [
        board.title, config, figures["part"], f"{counts['LUT']:,}", counts["block RAM"],
        f"{figures['clock_hz'] / 1e6:g}",
        f"{max(run['fmax_mhz'] for run in figures['runs']):.1f}", bitstream.name,
        f"{bitstream.stat().st_size:,}", f"{used / 60:.1f}", f"{wall / 60:.1f}",
    ]


if __name__ == "__main__":
    main()
