# SPDX-License-Identifier: Apache-2.0
"""One picture: where the energy goes, softmax beside EcoFormer."""

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from ecoformer.errors import EcoformerError
from ecoformer.files import rendered, write_atomic
from ecoformer.golden.energy.shapes import ARMS, PARTS

__all__ = ["FORMATS", "save_plot"]

FORMATS = (".png", ".svg", ".pdf")

COLOURS = {
    "attention": "#d1495b",
    "projections": "#3d6b8e",
    "MLP": "#83a9c6",
    "other": "#d5dde3",
}
"""Attention stands out; what both arms share stays in the background."""

LABELS = {"softmax": "softmax", "ecoformer": "EcoFormer"}
SUBTITLES = {
    "paper": "paper: FP32 operations",
    "honest": "honest: 8-bit integers, memory and DRAM included",
}


def save_plot(
    path: str | Path, networks: list[tuple[str, dict]], unit: str, scale: float
) -> None:
    """Write stacked bars of energy by part of the network.

    Parameters
    ----------
    path : Path
        The suffix chooses the format: .png, .svg or .pdf.
    networks : list of (str, dict)
        Name, and for every accounting by name what :func:`golden.energy.report.measure` returns.
    unit, scale : str, float
        Unit of the axis in pJ, and how many pJ it is.
    """
    path = Path(path)
    if path.suffix not in FORMATS:
        allowed = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
        raise EcoformerError(f"{path}: the plot must be {allowed}; choose another name")
    style = {
        "font.size": 10, "axes.spines.top": False, "axes.spines.right": False,
        "svg.hashsalt": "ecoformer", "svg.fonttype": "none",
    }
    with matplotlib.rc_context(style):
        figure = (_one if len(networks) == 1 else _many)(networks, unit, scale)
        dateless = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
        options = dict(format=path.suffix[1:], dpi=150, metadata=dateless.get(path.suffix))
        write_atomic(path, rendered(lambda file: figure.savefig(file, **options)))


def _one(networks, unit, scale):
    """Horizontal bars, one panel per accounting: reads like a sentence."""
    (name, accountings), = networks
    figure = Figure(figsize=(8.4, 1.3 + 1.65 * len(accountings)), layout="constrained")
    axes = figure.subplots(len(accountings), squeeze=False)[:, 0]
    for axis, (accounting, result) in zip(axes, accountings.items()):
        totals = [result[arm]["network"]["energy_pj"] / scale for arm in ARMS]
        for row, (arm, total) in enumerate(zip(ARMS, totals)):
            left = 0
            for part in PARTS:
                size = result[arm]["parts"][part] / scale
                axis.barh(row, size, 0.66, left, color=COLOURS[part], label=part)
                left += size
            text = f" {total:.2f}"
            if arm == "ecoformer":
                text += f"   {_change(totals)}"
            axis.text(total, row, text, va="center", weight="bold")
        axis.set_title(f"{SUBTITLES[accounting]};  attention alone {_times(result)}",
                       loc="left", fontsize=10)
        axis.set_yticks(range(len(ARMS)), LABELS.values())
        axis.invert_yaxis()
        axis.tick_params(axis="y", length=0)
        axis.set_xlim(0, max(totals) * 1.2)
        axis.set_xlabel(f"energy, {unit}pJ")
    _finish(figure, axes[0], f"{name}: {_headline(accountings)}")
    return figure


def _many(networks, unit, scale):
    """Pairs of vertical bars, one panel per accounting."""
    accountings = list(networks[0][1])
    figure = Figure(figsize=(1.6 + 1.3 * len(networks), 0.8 + 3.2 * len(accountings)),
                    layout="constrained")
    axes = figure.subplots(len(accountings), squeeze=False)[:, 0]
    for axis, accounting in zip(axes, accountings):
        highest = 0
        for place, (_, results) in enumerate(networks):
            result = results[accounting]
            totals = [result[arm]["network"]["energy_pj"] / scale for arm in ARMS]
            highest = max(highest, *totals)
            for arm, total, offset in zip(ARMS, totals, (-0.21, 0.21)):
                bottom = 0
                for part in PARTS:
                    size = result[arm]["parts"][part] / scale
                    axis.bar(place + offset, size, 0.38, bottom, color=COLOURS[part], label=part)
                    bottom += size
                label = f"{total:.1f}" if arm == "softmax" else f"{_change(totals)}\n{total:.1f}"
                axis.text(place + offset, total, label, ha="center", va="bottom", fontsize=9,
                          weight="bold" if arm == "ecoformer" else "normal")
        axis.set_title(f"{SUBTITLES[accounting]}", loc="left", fontsize=10)
        axis.set_xticks(range(len(networks)), [name for name, _ in networks])
        axis.tick_params(axis="x", length=0)
        axis.set_ylim(0, highest * 1.12)
        axis.set_ylabel(f"energy, {unit}pJ")
    _finish(figure, axes[0], "Energy of a network: left softmax, right EcoFormer")
    return figure


def _finish(figure, axis, title):
    handles, labels = axis.get_legend_handles_labels()
    unique = dict(zip(labels, handles))
    figure.suptitle(title, x=0.01, ha="left", fontsize=13, weight="bold")
    figure.legend(unique.values(), unique.keys(), loc="outside lower left", ncols=len(PARTS),
                  frameon=False)


def _headline(accountings):
    """What the picture says, such as ``energy −73% (paper), −48% (honest)``."""
    changes = []
    for accounting, result in accountings.items():
        totals = [result[arm]["network"]["energy_pj"] for arm in ARMS]
        changes.append(f"{_change(totals)} ({accounting})")
    return f"energy {', '.join(changes)}"


def _times(result):
    """How attention alone compares, such as ``18× less``."""
    softmax, ecoformer = (result[arm]["attention"]["energy_pj"] for arm in ARMS)
    if ecoformer <= softmax:
        return f"{softmax / ecoformer:.1f}× less"
    return f"{ecoformer / softmax:.1f}× more"


def _change(totals):
    return f"{totals[1] / totals[0] - 1:+.0%}".replace("-", "−")
