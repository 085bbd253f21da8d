# SPDX-License-Identifier: Apache-2.0
"""Fit the LUTs per feature of the estimate of networks to layers that were synthesised.

    python -m benchmarks.estimation.fit_networks

Every layer of networks drawn at random is a sample, but for the datapaths of the attention, of
which those of engines are known: the fit of engines comes first. Whole networks are held out, some
drawn and those of the examples. Keeps what is measured in build/estimation, and writes
``ecoformer/spec/cost/network/coefficients.json``. Hours; an interrupted run continues.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.estimation.fit import FIT_SEED, HELD_SEED, KEPT
from benchmarks.estimation.measure import layer_cells, packed_network
from benchmarks.estimation.networks import draw
from benchmarks.estimation.solve import solve
from benchmarks.results.records import ROOT
from ecoformer.files import write_json
from ecoformer.progress import show_progress
from ecoformer.sim.network.stimulus import random_image
from ecoformer.spec.cost.network.attention import DATAPATHS, HeadsLayer
from ecoformer.spec.cost.network.estimate import COEFFICIENTS, network_cells
from ecoformer.spec.cost.network.layer import Layer
from ecoformer.spec.cost.network.pipeline import layers
from ecoformer.spec.network.image import NetworkImage
from ecoformer.spec.network.load import Design, load_design

__all__ = [
    "EXAMPLES", "EXPECTED", "FIT_COUNT", "HELD_COUNT", "KEPT_NETWORKS", "PARAMETER_SEED",
    "fit_layers", "held_out", "measured_layers", "modules", "whole",
]

FIT_COUNT, HELD_COUNT = 16, 4
PARAMETER_SEED = 0
EXAMPLES = ("chip", "chip-adders", "characters")
"""Trained networks that are held out."""
KEPT_LAYERS, KEPT_NETWORKS = KEPT / "layers", KEPT / "networks"
WRITTEN = ROOT / "ecoformer" / "spec" / "cost" / "network" / COEFFICIENTS
LEAST = 100.0
"""LUTs that weigh as much as a layer of so many."""
EXPECTED = {
    "distributed RAM": 1, "distributed RAM, selected bits": 0.7, "block RAM, selected bits": 0.7,
    "table LUTs": 1, "table selected bits": 0.7,
    "loaded memories": 15, "loaded bytes": 2, "loaded regions": 10,
    "linear layer": 40, "waiting tokens": 20, "buffer lanes": 1, "step bits": 1,
    "int8 product bits": 0.1, "pow2 product bits": 2.5, "ternary product bits": 1,
    "Booth product bits": 1.5, "tree bits": 1, "accumulator bits": 1.1, "waiting result bits": 1,
    "biased bits": 1, "shifted bits": 6, "norm": 150, "one pass": 50, "squared length bits": 8,
    "norm sum bits": 2, "norm tree bits": 1, "normalised bits": 6, "split product bits": 2,
    "residual": 20, "added bits": 3, "place bits": 1.5, "attention": 20, "heads": 10,
    "fed bits": 0.1, "collected bits": 0.5, "tag bits": 0.5, "patches": 30,
    "pixel address bits": 5, "pixel bits": 1, "pool": 20, "pooled bits": 2, "answers": 40,
    "answer bits": 1, "compared score bits": 2, "embedding": 60, "loading": 150, "header bits": 1,
}
"""LUTs per feature, from the hardware: one for a bit of an adder, and so on."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fit", type=int, default=FIT_COUNT, help="networks to fit to")
    parser.add_argument(
        "--held-out", type=int, default=HELD_COUNT,
        help="drawn networks to compare with, beside the examples",
    )
    parser.add_argument("--examples", nargs="*", default=EXAMPLES, choices=EXAMPLES)
    options = parser.parse_args()
    known, others = draw(options.fit, FIT_SEED), held_out(options.held_out, options.examples)
    total = len(known) + len(others)
    with show_progress() as progress:
        samples = []
        for done, design in enumerate(known):
            progress.update("networks", done, total)
            samples += [(done, *sample) for sample in measured_layers(design)]
        luts = fit_layers(*zip(*samples))
        errors = []
        for done, (design, image) in enumerate(others.values(), len(known)):
            progress.update("networks", done, total)
            errors.append(abs(whole(design, luts) / packed_network(
                design, image, KEPT_NETWORKS)["LUT"] - 1))
        progress.update("networks", total, total)
    write_json(WRITTEN, {
        "command": "python -m benchmarks.estimation.fit_networks "
                   f"--fit {options.fit} --held-out {options.held_out} "
                   f"--examples {' '.join(options.examples)}".rstrip(),
        "fitted_networks": len(known), "fitted_layers": len(samples),
        "held_out_networks": len(errors),
        "mean_error": round(float(np.mean(errors)), 4), "largest_error": round(max(errors), 4),
        "luts": {name: round(value, 4) for name, value in luts.items()},
    })
    print(f"{len(errors)} networks held out: mean error {np.mean(errors):.1%}, largest "
          f"{max(errors):.1%}", file=sys.stderr)


def held_out(
    count: int = HELD_COUNT, examples: Sequence[str] = EXAMPLES
) -> dict[str, tuple[Design, NetworkImage]]:
    """Networks that no fit sees, by name: drawn ones with random parameters, and these examples."""
    found = {
        f"drawn, {number}": (design, _drawn(design))
        for number, design in enumerate(draw(count, HELD_SEED), 1)
    }
    for name in examples:
        folder = ROOT / "examples" / name
        design = load_design(folder / "network.toml")
        found[name] = design, NetworkImage.load(folder / "network.safetensors", design)
    return found


def measured_layers(design: Design) -> Iterator[tuple[dict[str, float], int]]:
    """Features of every layer that was mapped, and the LUTs that it takes.

    Those of attention are without its datapaths.
    """
    components = layer_cells(design, _drawn(design), KEPT_LAYERS)
    for layer in layers(design):
        amounts = layer.around if isinstance(layer, HeadsLayer) else layer.features
        found = [components[path]["LUT"] for path in modules(layer) if path in components]
        if found:
            yield amounts, sum(found)


def modules(layer: Layer) -> list[str]:
    """Paths of the components that a layer is in the Verilog."""
    if layer.name == "loading":
        return ["loader", "gate"]
    name = layer.name.replace("blocks.", "block_").replace("attention", "heads")
    return [f"network.{name}"]


def fit_layers(
    networks: Sequence[int], samples: Sequence[dict[str, float]], counts: Sequence[int]
) -> dict[str, float]:
    """LUTs per feature, of layers that belong to these networks.

    Those of datapaths count as engines have them.
    """
    return solve(samples, counts, EXPECTED, parts=networks, least=LEAST) | {DATAPATHS: 1.0}


def whole(design: Design, luts: dict[str, float]) -> float:
    """Cells of a network with these LUTs per feature."""
    return sum(network_cells(design, luts).values())


def _drawn(design):
    return random_image(design, PARAMETER_SEED)


if __name__ == "__main__":
    main()
