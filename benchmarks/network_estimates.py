# SPDX-License-Identifier: Apache-2.0
"""The estimate of whole networks against synthesis, on networks that were not used for its fit.

Drawn ones have random parameters and are mapped and packed in minutes, those of the examples in up
to half an hour; what is measured is kept in build/estimation and not measured again for the same
Verilog.
"""

from statistics import mean

from benchmarks.estimation.fit_networks import (
    EXAMPLES,
    HELD_COUNT,
    KEPT_NETWORKS,
    held_out,
)
from benchmarks.estimation.measure import packed_network
from benchmarks.results.section import PLACING, arguments, begin
from ecoformer.progress import show_progress
from ecoformer.spec.cost.estimate import COEFFICIENTS as OF_ENGINES
from ecoformer.spec.cost.network.estimate import (
    COEFFICIENTS,
    NetworkEstimate,
    estimate_network,
    network_model,
)
from ecoformer.spec.network.load import Design

__all__ = ["main"]

COST = "ecoformer/spec/cost"


def main() -> None:
    parser = arguments(__doc__, seed=None)
    parser.add_argument(
        "--held-out", type=int, default=HELD_COUNT, help="drawn networks, beside the examples"
    )
    parser.add_argument("--examples", nargs="*", default=EXAMPLES, choices=EXAMPLES)
    run = begin(parser)
    networks = held_out(run.options.held_out, run.options.examples)
    found = []
    with show_progress() as progress:
        for done, (name, (design, image)) in enumerate(networks.items()):
            progress.update("networks", done, len(networks))
            counts = packed_network(design, image, KEPT_NETWORKS)
            found.append((name, design, counts, estimate_network(design)))
        progress.update("networks", len(networks), len(networks))
    errors = [estimated.cells / counts["LUT"] - 1 for _, _, counts, estimated in found]
    sizes, known = [abs(error) for error in errors], network_model()
    run.write_section(
        "estimate", "networks", "Whole networks that the fit did not see",
        ["network", "takes", "weights", "hash", "k", "width", "blocks", "cells, packed",
         "estimated", "error", "block RAM", "estimated", "DSP", "estimated"],
        [_row(*entry, error) for entry, error in zip(found, errors)],
        headline=f"cells of networks within {max(sizes):.0%}",
        tools=PLACING, files=[f"{COST}/{OF_ENGINES}", f"{COST}/network/{COEFFICIENTS}"],
        notes=[
            f"Cells: mean error {mean(sizes):.1%}, largest {max(sizes):.1%}.",
            f"Block RAM: {_exact(found, 'block RAM', 'block_ram')} of {len(found)} exact; DSP: "
            f"{_exact(found, 'DSP', 'dsp')}.",
            f"Fitted to {known['fitted_layers']} layers of {known['fitted_networks']} networks.",
        ],
    )


def _row(
    name: str, design: Design, counts: dict[str, int], found: NetworkEstimate, error: float
) -> list:
    attention = design.attention
    return [
        name, f"{design.packet}s", design.weights, attention.hash, design.cycles_per_token,
        design.width, design.depth, f"{counts['LUT']:,}", f"{found.cells:,}", f"{error:+.1%}",
        counts["block RAM"], found.block_ram, counts["DSP"], found.dsp,
    ]


def _exact(found, resource, name):
    return sum(counts[resource] == getattr(estimated, name) for *_, counts, estimated in found)


if __name__ == "__main__":
    main()
