# SPDX-License-Identifier: Apache-2.0
"""A whole trained network in hardware, on held-out images.

Float network, integer network and compiled Verilog see the same images, one after another at full
rate, and some of them with random pauses on both streams.
"""

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

__all__ = ["EXAMPLE", "compare", "main"]

EXAMPLE = ROOT / "examples" / "chip"
BUILDS = ROOT / "build" / "networks"
STALL = 0.3
"""Probability of a pause in a cycle, on either stream."""
PIECE = 50
"""Images between two reports of progress."""


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--images", type=int, default=1_000)
    parser.add_argument("--stalled", type=int, default=200, help="of them, with pauses")
    run = begin(parser)
    options = run.options
    design = NetworkDesign.load(EXAMPLE / "network.toml")
    image = NetworkImage.load(EXAMPLE / "network.safetensors", design)
    held_out = datasets.load("mnist", None, options.seed).held_out
    pixels, labels = (part.numpy()[: options.images] for part in (held_out.images, held_out.labels))
    network = CompiledNetwork.of(design, image, BUILDS)
    wanted = np.concatenate([
        run_integers(design, image, piece)
        for piece in np.array_split(pixels, -(-len(pixels) // PIECE))
    ])
    rows = [
        compare(network, pixels[:count], wanted[:count], labels[:count], stall, options.seed)
        for count, stall in ((len(pixels), 0.0), (min(options.stalled, len(pixels)), STALL))
        if count
    ]
    run.write_section(
        "networks", "images", "Held-out images through a whole network",
        ["pauses", "images", "words, Verilog ≠ integer network", "accuracy", "cycles an image",
         "cycles from an image's first pixel to its last score", "simulated cycles a second"],
        rows,
        headline=f"{rows[0][2]} words differ over {rows[0][1]} images, {rows[0][4]} cycles each",
        tools=SIMULATING, files=["examples/chip/network.toml", "examples/chip/network.safetensors"],
    )
    return 0 if all(row[2].startswith("0 ") for row in rows) else 1


def compare(
    network: CompiledNetwork,
    pixels: np.ndarray,
    wanted: np.ndarray,
    labels: np.ndarray,
    stall: float,
    seed: int,
) -> list[str]:
    """Row of the table: the Verilog on ``pixels`` against the scores ``wanted``."""
    began = time.monotonic()
    answers = []
    for number, piece in enumerate(np.array_split(pixels, -(-len(pixels) // PIECE))):
        answers.append(network.run(piece, stall=stall, seed=seed + number))
        done = sum(len(one.scores) for one in answers)
        print(f"{done:,} of {len(pixels):,} images", file=sys.stderr, flush=True)
    scores = np.concatenate([one.scores for one in answers])
    first = answers[0]
    cycles = int(answers[-1].last_out[-1] - first.first_in[0])
    return [
        f"{stall:.0%}" if stall else "none",
        f"{len(pixels):,}",
        f"{int((scores != wanted).sum()):,} of {wanted.size:,}",
        f"{(scores.argmax(axis=1) == labels).mean():.1%}",
        f"{first.cycles_per_image:,.0f}",
        f"{int(first.last_out[0] - first.first_in[0]):,}",
        f"{cycles / (time.monotonic() - began):,.0f}",
    ]


if __name__ == "__main__":
    sys.exit(main())
