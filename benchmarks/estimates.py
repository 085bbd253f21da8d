# SPDX-License-Identifier: Apache-2.0
"""The estimate against synthesis, on engines that were not used for its fit.

Each is mapped and packed, which takes up to a minute; what is measured is kept in build/estimation
and not measured again for the same Verilog.
"""

from statistics import mean, median

from benchmarks.estimation.fit import HELD_COUNT, HELD_SEED, KEPT, held_out
from benchmarks.estimation.measure import packed
from benchmarks.estimation.plot import save_plot
from benchmarks.results.section import PLACING, arguments, begin
from ecoformer.progress import show_progress
from ecoformer.spec.config import Config
from ecoformer.spec.cost.estimate import COEFFICIENTS, Estimate, estimate, model

__all__ = ["main"]


def main() -> None:
    parser = arguments(__doc__, seed=None)
    parser.add_argument("--held-out", type=int, default=HELD_COUNT, help="engines to compare with")
    run = begin(parser)
    engines = held_out(run.options.held_out)
    pairs = []
    with show_progress() as progress:
        for done, config in enumerate(engines):
            progress.update("engines", done, len(engines))
            pairs.append((config, packed(config, KEPT), estimate(config)))
        progress.update("engines", len(engines), len(engines))
    errors = [found.cells / counts["LUT"] - 1 for _, counts, found in pairs]
    sizes = sorted(map(abs, errors))
    within = sum(size <= 0.1 for size in sizes)
    known = model()
    run.write_section(
        "estimate", "held-out", "Engines that the fit did not see",
        ["hash", "dataflow", "queries", "k", "D × E", "b", "cells, packed", "estimated", "error",
         "block RAM", "estimated", "DSP", "estimated"],
        [_row(*pair, error) for pair, error in zip(pairs, errors)],
        headline=f"cells within {sizes[-1]:.0%}, half of them within {median(sizes):.1%}",
        seed=HELD_SEED, tools=PLACING, files=[f"ecoformer/spec/cost/{COEFFICIENTS}"],
        notes=[
            f"Cells: mean error {mean(sizes):.1%}, largest {sizes[-1]:.1%}; {within} of "
            f"{len(sizes)} within 10 %.",
            *_by_flow(pairs, errors),
            f"Block RAM: {_exact(pairs, 'block RAM', 'block_ram')} of {len(pairs)} exact; DSP: "
            f"{_exact(pairs, 'DSP', 'dsp')}.",
            f"Fitted to {known['fitted_engines']} engines.",
        ],
    )
    if not run.options.dry_run:
        save_plot(run.records.pages / "estimate.svg", [
            (_flow(config), counts["LUT"], found.cells) for config, counts, found in pairs
        ])


def _row(config: Config, counts: dict[str, int], found: Estimate, error: float) -> list:
    weights = "" if config.hash in ("codes", "none") else f", {config.weights}"
    return [
        f"{config.hash}{weights}", _flow(config), config.queries, config.cycles_per_token,
        f"{config.head_dim} × {config.value_dim}", config.code_bits, f"{counts['LUT']:,}",
        f"{found.cells:,}", f"{error:+.1%}", counts["block RAM"], found.block_ram, counts["DSP"],
        found.dsp,
    ]


def _flow(config):
    return f"{config.dataflow}{', causal' if config.flow.has_contexts else ''}"


def _by_flow(pairs, errors):
    """A sentence for each dataflow."""
    grouped: dict[str, list[float]] = {}
    for (config, *_), error in zip(pairs, errors):
        grouped.setdefault(_flow(config), []).append(abs(error))
    return [
        f"{flow}: {len(found)} engines, mean error {mean(found):.1%}, largest {max(found):.1%}."
        for flow, found in sorted(grouped.items())
    ]


def _exact(pairs, resource, name):
    return sum(counts[resource] == getattr(found, name) for _, counts, found in pairs)


if __name__ == "__main__":
    main()
