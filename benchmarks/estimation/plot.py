# SPDX-License-Identifier: Apache-2.0
"""Estimated against packed cells, a point for every engine that the fit did not see."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from ecoformer.files import rendered, write_atomic

__all__ = ["save_plot"]

BAND = 0.1
STYLE = {
    "font.size": 9, "axes.spines.top": False, "axes.spines.right": False,
    "svg.hashsalt": "ecoformer", "svg.fonttype": "none",
}


def save_plot(path: Path, points: Sequence[tuple[str, int, int]]) -> None:
    """Write the SVG ``path``: ``points`` are a dataflow, packed cells and estimated cells."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.2, 4.4), layout="constrained")
        axes = figure.subplots()
        counts = [count for _, *pair in points for count in pair]
        ends = [min(counts) / 1.2, max(counts) * 1.2]
        axes.fill_between(
            ends, [e * (1 - BAND) for e in ends], [e * (1 + BAND) for e in ends],
            color="#d5dde3", linewidth=0, label=f"within {BAND:.0%}",
        )
        axes.plot(ends, ends, color="#83a9c6", linewidth=1)
        for flow in sorted({flow for flow, *_ in points}):
            chosen = [(packed, found) for name, packed, found in points if name == flow]
            axes.scatter(*zip(*chosen), s=18, label=flow)
        axes.set(
            xscale="log", yscale="log", xlim=ends, ylim=ends, xlabel="cells, packed",
            ylabel="cells, estimated",
        )
        axes.legend(frameon=False)
        options = dict(format="svg", metadata={"Date": None})
        write_atomic(path, rendered(lambda file: figure.savefig(file, **options)))
