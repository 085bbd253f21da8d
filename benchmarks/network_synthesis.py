# SPDX-License-Identifier: Apache-2.0
"""Cells and clock frequency of a whole network, and what every layer takes.

An hour on two cores; finished figures are kept in build/networks and not made again for the same
Verilog, device and seeds.
"""

import hashlib
import json
from pathlib import Path

from benchmarks.devices import ECP5
from benchmarks.networks import BUILDS, EXAMPLE
from benchmarks.results.section import PLACING, arguments, begin
from ecoformer.hw.emit.network import emit_network
from ecoformer.hw.synth.flow import place, synthesise
from ecoformer.hw.synth.targets import TARGETS
from ecoformer.progress import show_progress
from ecoformer.spec.network.design import NetworkDesign
from ecoformer.spec.network.image import NetworkImage

__all__ = ["layers", "main"]

TOP = "ecoformer_network"
TARGET = TARGETS["ecp5"]
COUNTS = ("LUT", "FF", "DSP", "block RAM")


def main() -> None:
    parser = arguments(__doc__, seed=None)
    parser.add_argument("--seeds", type=int, default=3, help="placer seeds")
    parser.add_argument("--jobs", type=int, help="processes at a time")
    parser.add_argument("--keep", type=Path, default=BUILDS / "synthesis", metavar="DIR")
    run = begin(parser)
    options = run.options
    seeds = list(range(1, options.seeds + 1))
    design = NetworkDesign.load(EXAMPLE / "network.toml")
    figures = _measure(design, options.keep, seeds, options.jobs)
    clock = figures["fmax_median_mhz"]
    images = 1e6 * clock / (design.tokens * design.cycles_per_token)
    run.write_section(
        "networks", "synthesis", f"A whole network on an {figures['part']}",
        ["layer", *COUNTS],
        [["whole, packed", *(f"{n:,}" for n in _packed(figures))], *layers(figures["units"])],
        headline=f"{clock:.1f} MHz, {images:,.0f} images/s",
        seed=f"1…{options.seeds}", tools=PLACING, files=["examples/chip/network.toml"],
        notes=[
            f"Clock: median {clock:.1f}, best {figures['fmax_best_mhz']:.1f} MHz, which is "
            f"{images:,.0f} images of {design.tokens} tokens a second. Layers are mapped one by "
            "one, the whole is packed.",
        ],
    )


def layers(units: list[dict]) -> list[list[str]]:
    """Rows of the table: what every layer of a network takes, the same layers of blocks added up.

    Parameters
    ----------
    units : list of dict
        Components of the network, as `hw.synth.flow.synthesise` reports them.
    """
    totals: dict[str, list[int]] = {}
    for unit in units:
        parts = unit["path"].split(".")[1:]  # without the network itself
        if not parts or len(parts) > 2 or (parts[0].startswith("block_") and len(parts) < 2):
            continue
        if len(parts) == 2 and not parts[0].startswith("block_"):
            continue
        name = f"all blocks: {parts[1]}" if len(parts) == 2 else parts[0]
        total = totals.setdefault(name, [0] * len(COUNTS))
        for index, kind in enumerate(COUNTS):
            total[index] += unit[kind]
    return [[name, *(f"{number:,}" for number in total)] for name, total in totals.items()]


def _packed(figures):
    counts = figures["resources"] | TARGET.totals(figures["packed"])
    return [counts[kind] for kind in COUNTS]


def _measure(design, folder, seeds, jobs):
    image = NetworkImage.load(EXAMPLE / "network.safetensors", design)
    verilog = emit_network(design, image, TOP)
    inputs = {"verilog": hashlib.sha256(verilog.encode()).hexdigest(), **ECP5, "seeds": seeds}
    record = folder / "synth.json"
    if record.exists():
        known = json.loads(record.read_text())
        if all(known.get(key) == value for key, value in inputs.items()):
            return known
    folder.mkdir(parents=True, exist_ok=True)
    with show_progress() as progress:
        figures = synthesise(
            verilog, TOP, TARGET, folder, device=ECP5["device"], jobs=jobs, progress=progress
        )
        place(figures, folder, **ECP5, seeds=seeds, jobs=jobs, progress=progress)
    record.write_text(json.dumps(figures, indent=2) + "\n")
    return figures


if __name__ == "__main__":
    main()
