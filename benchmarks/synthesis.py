# SPDX-License-Identifier: Apache-2.0
"""Cells and clock frequency of the presets on real FPGAs.

It takes hours on two cores, so every finished preset is kept in build/synthesis and not run again
for the same Verilog, device and seeds.
"""

import hashlib
import json
from pathlib import Path

from benchmarks.devices import ECP5
from benchmarks.engines import ADDERS
from benchmarks.results.records import ROOT
from benchmarks.results.section import PLACING, arguments, begin
from ecoformer.errors import EcoformerError
from ecoformer.hw.emit.verilog import emit
from ecoformer.hw.synth.flow import place, synthesise
from ecoformer.hw.synth.targets import TARGETS
from ecoformer.progress import show_progress
from ecoformer.spec.config import Config

__all__ = ["main", "measure"]

TOP = "ecoformer_engine"
RUNS = (
    ("demo", "ecp5"), ("k16", "ecp5"), ("softmax", "ecp5"), ("xnor", "ecp5"),
    ("full-rate", "ecp5"), ("k4", "ecp5"),
    ("smallest", "ecp5"), ("demo", "xc7"), ("smallest", "ice40"), ("adders", "ecp5"),
)
ONCE = ("adders",)
"""Placed with one seed: it fills most of the device, which takes an hour."""


def main() -> None:
    parser = arguments(__doc__, seed=None)
    parser.add_argument("--seeds", type=int, default=3, help="placer seeds per preset")
    parser.add_argument("--presets", nargs="*", metavar="PRESET", help="run only these")
    parser.add_argument("--place", nargs="*", metavar="PRESET", help="place and route only these")
    parser.add_argument("--jobs", type=int, help="processes at a time")
    parser.add_argument("--keep", type=Path, default=ROOT / "build" / "synthesis", metavar="DIR")
    run = begin(parser)
    options = run.options
    seeds = list(range(1, options.seeds + 1))
    rows, engines = [], []
    for preset, target in RUNS:
        if options.presets and preset not in options.presets:
            continue
        engines.append("measured adders" if preset == "adders" else f"preset {preset}")
        placing = TARGETS[target].placed and (options.place is None or preset in options.place)
        folder = options.keep / f"{preset}-{target}"
        placed = placing and (seeds[:1] if preset in ONCE else seeds)
        rows.append(_row(preset, measure(preset, target, folder, placed, options.jobs)))
    run.write_section(
        "synthesis", "presets", "Presets",
        ["preset", "target", "LUT, mapped", "LUT, packed", "FF", "DSP", "block RAM",
         "Fmax MHz, median", "best", "critical path of the median"],
        rows,
        headline=f"{rows[0][0]}: {rows[0][3]} cells, {rows[0][7]} MHz on {rows[0][1]}",
        seed=f"1…{options.seeds}", tools=PLACING, engines=sorted(set(engines)),
    )


def measure(
    preset: str, target: str, folder: Path, seeds: list[int], jobs: int | None
) -> dict:
    """Figures of one preset, kept in ``folder``; without ``seeds`` it is not placed."""
    verilog = emit(ADDERS if preset == "adders" else Config.load(preset), TOP)
    record = folder / "synth.json"
    inputs = {"verilog": hashlib.sha256(verilog.encode()).hexdigest(), "target": target}
    if seeds:
        inputs.update(ECP5, seeds=seeds)
    if record.exists():
        known = json.loads(record.read_text())
        if all(known.get(key) == value for key, value in inputs.items()):
            return known
    folder.mkdir(parents=True, exist_ok=True)
    with show_progress() as progress:
        progress.line(f"{preset}, {target}")
        figures = synthesise(verilog, TOP, TARGETS[target], folder, jobs=jobs, progress=progress)
        if seeds:
            try:
                place(figures, folder, **ECP5, seeds=seeds, jobs=jobs, progress=progress)
            except EcoformerError as error:  # a preset may be too large for the device
                figures.update(ECP5, seeds=seeds, refused=str(error))
    record.write_text(json.dumps(figures, indent=2) + "\n")
    return figures


def _row(preset, figures):
    target, counts = TARGETS[figures["target"]], figures["resources"]
    row = [preset, target.title, counts["LUT"], "–", counts["FF"], counts["DSP"],
           counts["block RAM"]]
    row = [f"{cell:,}" if isinstance(cell, int) else cell for cell in row]
    if "refused" in figures:
        return [*row, "–", "–", f"not placed: {figures['refused'].split(': ', 2)[-1]}"]
    if "runs" not in figures:
        return [*row, "–", "–", "not placed"]
    row[3] = f"{figures['packed']['TRELLIS_COMB']:,}"
    path = figures["critical_path"]
    ends = (" ".join(filter(None, path[end].values())) for end in ("from", "to"))
    return [*row, f"{figures['fmax_median_mhz']:.1f}", f"{figures['fmax_best_mhz']:.1f}",
            " → ".join(f"`{end}`" for end in ends)]


if __name__ == "__main__":
    main()
