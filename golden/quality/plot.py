# SPDX-License-Identifier: Apache-2.0
"""One picture of all hashes: heat maps over layers and heads."""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from ecoformer.files import rendered, write_atomic

__all__ = ["save_heat_maps"]


def save_heat_maps(path: str | Path, panels: dict[str, tuple], title: str) -> None:
    """Write one heat map per panel, layers down and heads across; layers may differ in heads.

    Parameters
    ----------
    path : Path
        The suffix chooses the format.
    panels : dict of str to (list of list of float, float, float)
        By its title, the values [layer][head] of a panel, the worst value and the best.
    title : str
    """
    path = Path(path)
    rows = next(iter(panels.values()))[0]
    layers, heads = len(rows), max(map(len, rows))
    size = (0.8 + len(panels) * (1.6 + 0.62 * heads), 1.4 + 0.42 * layers)
    with matplotlib.rc_context({"font.size": 9, "svg.hashsalt": "ecoformer"}):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for axis, (name, (values, worst, best)) in zip(axes, panels.items()):
            _panel(axis, name, _padded(values, heads), worst, best)
        axes[0].set_ylabel("layer")
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
        suffix = path.suffix[1:]
        write_atomic(path, rendered(lambda file: figure.savefig(file, format=suffix, dpi=150)))


def _panel(axis, name, values, worst, best):
    goodness = (values - worst) / (best - worst)
    axis.imshow(goodness, cmap="RdYlGn", vmin=0, vmax=1, aspect="auto", alpha=0.7)
    for (layer, head), value in np.ndenumerate(values):
        if np.isnan(value):
            continue
        axis.text(head, layer, f"{value:.3f}", ha="center", va="center", fontsize=8)
    axis.set_title(name, loc="left", fontsize=9)
    axis.set_xticks(range(values.shape[1]))
    axis.set_yticks(range(values.shape[0]))
    axis.set_xlabel("head")
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)


def _padded(rows, heads):
    """Rows of unequal length as an array, NaN where there is no head."""
    return np.array([[*row, *[np.nan] * (heads - len(row))] for row in rows], dtype=float)
