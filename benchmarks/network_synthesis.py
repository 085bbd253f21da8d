# SPDX-License-Identifier: Apache-2.0
"""Cells and clock frequency of whole networks, and what every layer takes.

An hour on two cores; what is finished, a mapped netlist or all figures of a network, is kept in
build/networks and not made again for the same Verilog, device and seeds.
"""

import hashlib
import json
from pathlib import Path

from benchmarks import characters, networks
from benchmarks.characters import cycles_alone
from benchmarks.devices import ECP5
from benchmarks.networks import BUILDS
from benchmarks.results.section import PLACING, arguments, begin
from ecoformer.files import write_atomic
from ecoformer.hw.emit.network import emit_network
from ecoformer.hw.synth.flow import NETWORK_DEPTH, place, synthesise
from ecoformer.hw.synth.targets import TARGETS
from ecoformer.progress import show_progress
from ecoformer.sim.network.compiled import CompiledNetwork
from ecoformer.spec.network.decoder import DecoderDesign
from ecoformer.spec.network.image import NetworkImage
from ecoformer.spec.network.load import Design, load_design

__all__ = ["layers", "main", "rates"]

TOP = "ecoformer_network"
TARGET = TARGETS["ecp5"]
ROUTER = "router2"
"""The other one takes the last wires of a device this full one by one, for a quarter of an hour."""
COUNTS = ("LUT", "FF", "DSP", "block RAM")
EXAMPLES = {
    "chip": ("synthesis", "A whole network", networks.EXAMPLES["chip"]),
    "chip-adders": (
        "adders-synthesis", "A network without multipliers", networks.EXAMPLES["chip-adders"],
    ),
    "chip-cifar": (
        "cifar-synthesis", "A whole network for colour images", networks.EXAMPLES["chip-cifar"],
    ),
    "characters": (
        "characters-synthesis", "A whole decoder", characters.EXAMPLES["characters"],
    ),
    "moby-dick": ("text-synthesis", "A decoder of text", characters.EXAMPLES["moby-dick"]),
}
"""Of every network: name of its section, what it is, and its folder."""


def main() -> None:
    parser = arguments(__doc__, seed=None)
    parser.add_argument("networks", nargs="*", default=list(EXAMPLES), help="/".join(EXAMPLES))
    parser.add_argument("--seeds", type=int, default=3, help="placer seeds")
    parser.add_argument("--jobs", type=int, help="processes at a time")
    parser.add_argument("--keep", type=Path, default=BUILDS / "synthesis", metavar="DIR")
    run = begin(parser)
    options = run.options
    seeds = list(range(1, options.seeds + 1))
    for example in options.networks:
        name, what, folder = EXAMPLES[example]
        design = load_design(folder / "network.toml")
        image = NetworkImage.load(folder / "network.safetensors", design)
        figures = _measure(design, image, options.keep / example, seeds, options.jobs)
        clock = figures["fmax_median_mhz"]
        alone = _cycles_alone(design, image)
        shown = rates(design, clock, alone)
        run.write_section(
            "networks", name, f"{what} on an {figures['part']}",
            ["layer", *COUNTS],
            [["whole, packed", *(f"{n:,}" for n in _packed(figures))], *layers(figures["units"])],
            headline=f"{clock:.1f} MHz, {shown[0]}",
            seed=f"1…{options.seeds}", tools=PLACING, engines=[f"network {example}"],
            files=[f"examples/{example}/network.{kind}" for kind in ("toml", "safetensors")],
            notes=[
                f"Clock: median {clock:.1f}, best {figures['fmax_best_mhz']:.1f} MHz, which is "
                f"{', and '.join(shown)}. Layers are mapped one by one, the whole is packed.",
            ],
        )


def rates(design: Design, clock: float, alone: int = 0) -> list[str]:
    """What a network does in a second at ``clock`` MHz, in words.

    Parameters
    ----------
    alone : int
        Cycles from a character to the last score of what may follow it.
    """
    if not isinstance(design, DecoderDesign):
        images = 1e6 * clock / design.cycles_per_image
        return [f"{images:,.0f} images of {design.tokens} tokens a second"]
    return [
        f"{1e6 * clock / design.steady_cycles:,.0f} characters a second of many texts, one every "
        f"{design.steady_cycles} cycles",
        f"{1e6 * clock / alone:,.0f} of one text, {alone} cycles each",
    ]


def _cycles_alone(design, image):
    if not isinstance(design, DecoderDesign):
        return 0
    return cycles_alone(design, CompiledNetwork.of(design, image, BUILDS))


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


def _measure(design, image, folder, seeds, jobs):
    verilog = emit_network(design, image, TOP)
    inputs = {"verilog": hashlib.sha256(verilog.encode()).hexdigest()}
    placing = {**ECP5, "seeds": seeds, "router": ROUTER}
    if known := _kept(folder / "synth.json", inputs | placing):
        return known
    folder.mkdir(parents=True, exist_ok=True)
    with show_progress() as progress:
        figures = _kept(folder / "mapped.json", inputs)
        if figures is None:
            figures = synthesise(
                verilog, TOP, TARGET, folder, device=ECP5["device"], depth=NETWORK_DEPTH,
                jobs=jobs, progress=progress,
            )
            _keep(folder / "mapped.json", figures)
        place(figures, folder, **placing, jobs=jobs, progress=progress)
    _keep(folder / "synth.json", figures)
    return figures


def _kept(path, inputs):
    """Figures that were made of the same ``inputs``; None if there are none."""
    if not path.exists():
        return None
    known = json.loads(path.read_text())
    return known if all(known.get(key) == value for key, value in inputs.items()) else None


def _keep(path, figures):
    write_atomic(path, json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
