# SPDX-License-Identifier: Apache-2.0
"""Whole trained networks in hardware, on held-out images.

Integer network and compiled Verilog see the same images, one after another at full rate, and some
of them with random pauses on both streams: images that the network never saw. Beside digits there
are pictures of clothes, about which a network of digits is at a loss in many more ways; they are of
Debian's package dataset-fashion-mnist.
"""

import json
import sys
import time

import numpy as np

from benchmarks.results.records import ROOT
from benchmarks.results.section import SIMULATING, arguments, begin
from ecoformer.golden.integer.network.forward import run as run_integers
from ecoformer.golden.learn import data as datasets
from ecoformer.sim.network.compiled import CompiledNetwork
from ecoformer.spec.network.design import NetworkDesign
from ecoformer.spec.network.image import NetworkImage

__all__ = ["EXAMPLES", "compare", "main"]

SECTIONS = {
    "chip": ("images", "Held-out images through a whole network"),
    "chip-adders": ("adders-images", "Held-out images through a network without multipliers"),
    "chip-cifar": ("cifar-images", "Held-out colour images through a whole network"),
}
"""Name and title of the section of every network."""
EXAMPLES = {name: ROOT / "examples" / name for name in SECTIONS}
DATA = {"chip": "mnist", "chip-adders": "mnist", "chip-cifar": "cifar10"}
"""What each has learned, as its preset says."""
KINDS = {"mnist": "digits", "cifar10": "pictures"}
"""What the images of a data set are."""
BUILDS = ROOT / "build" / "networks"
STALL = 0.3
"""Probability of a pause in a cycle, on either stream."""
PIECE = 50
"""Images between two reports of progress."""


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("network", nargs="?", default="chip", choices=EXAMPLES)
    parser.add_argument("--data-path", help="where the data set is, if its preset does not know")
    parser.add_argument("--images", type=int, default=1_000)
    parser.add_argument("--stalled", type=int, default=200, help="of them, with pauses")
    parser.add_argument("--clothes", type=int, default=10_000, help="beside digits")
    run = begin(parser)
    options = run.options
    folder = EXAMPLES[options.network]
    files = [folder / f"network.{kind}" for kind in ("toml", "safetensors")]
    design = NetworkDesign.load(files[0])
    image = NetworkImage.load(files[1], design)
    network = CompiledNetwork.of(design, image, BUILDS)
    source = DATA[options.network]
    held_out, what = _images(source, options.images, options.data_path), KINDS[source]
    parts = {
        what: (*held_out, 0.0),
        f"{what}, with pauses": (*(part[: options.stalled] for part in held_out), STALL),
    }
    if source == "mnist":
        parts["clothes"] = (_images("fashion", options.clothes)[0], None, 0.0)
    rows = [
        [name, *compare(design, image, network, pixels, labels, stall, options.seed)]
        for name, (pixels, labels, stall) in parts.items() if len(pixels)
    ]
    run.write_section(
        "networks", *SECTIONS[options.network],
        ["images", "", "words, Verilog ≠ integer network", "accuracy", "cycles an image",
         "cycles from an image's first pixel to its last score", "simulated cycles a second"],
        rows,
        headline=f"{rows[0][2]} words differ over {rows[0][1]} {what} and {rows[-1][2]} over "
        f"{rows[-1][1]} {rows[-1][0]}, {rows[0][4]} cycles each",
        tools=SIMULATING, files=[str(path.relative_to(ROOT)) for path in files],
        engines=[f"network {options.network}"],
        notes=_accuracies(folder / "export.json", what),
    )
    return 0 if all(row[2].startswith("0 ") for row in rows) else 1


def compare(
    design: NetworkDesign,
    image: NetworkImage,
    network: CompiledNetwork,
    pixels: np.ndarray,
    labels: np.ndarray | None,
    stall: float,
    seed: int,
) -> list[str]:
    """Row of the table: the Verilog on ``pixels`` against the integer network."""
    began = time.monotonic()
    pieces = np.array_split(pixels, -(-len(pixels) // PIECE))
    wanted = np.concatenate([run_integers(design, image, piece) for piece in pieces])
    expected = time.monotonic() - began
    answers = []
    for number, piece in enumerate(pieces):
        answers.append(network.run(piece, stall=stall, seed=seed + number))
        done = sum(len(one.scores) for one in answers)
        print(f"{done:,} of {len(pixels):,} images", file=sys.stderr, flush=True)
    scores = np.concatenate([one.scores for one in answers])
    first = answers[0]
    cycles = int(answers[-1].last_out[-1] - first.first_in[0])
    return [
        f"{len(pixels):,}",
        f"{int((scores != wanted).sum()):,} of {wanted.size:,}",
        "–" if labels is None else f"{(scores.argmax(axis=1) == labels).mean():.1%}",
        f"{first.cycles_per_image:,.0f}",
        f"{int(first.last_out[0] - first.first_in[0]):,}",
        f"{cycles / (time.monotonic() - began - expected):,.0f}",
    ]


def _accuracies(record, what):
    """What was measured on all held-out images when the network was quantised."""
    if not record.is_file():
        return []
    figures = json.loads(record.read_text())
    found = figures["network"]
    return [
        f"Of all {figures['held_out_images']:,} held-out {what} the float network has "
        f"{found['float_accuracy']:.2%} right, the integer network {found['accuracy']:.2%}."
    ]


def _images(name, count, path=None):
    """Held-out images of a data set, and their labels."""
    held_out = datasets.load(name, path).held_out
    return [part.numpy()[:count] for part in (held_out.images, held_out.labels)]


if __name__ == "__main__":
    sys.exit(main())
