# SPDX-License-Identifier: Apache-2.0
"""How verbs show what :mod:`golden.quality` found: a table of all heads, and warnings."""

from rich.table import Table

from ecoformer.cli.common import make_console

__all__ = ["quality_panels", "show_quality"]

COLUMNS = {
    "separation": "separation",
    "correlation": "correlation",
    "output_error": "output error",
    "uniform_error": "of a plain mean",
    "entropy": "bit entropy",
}
"""Figures of a head that are plain numbers, and the heads of their columns."""


def show_quality(
    heads: list[dict], disagreement: list[list[float]] | None = None
) -> None:
    """Print one row per head, then the warnings.

    Parameters
    ----------
    heads : list of dict
        As :meth:`golden.quality.measure.HeadQuality.as_dict` makes them.
    disagreement : list of list of float or None
        Share of code bits [layer][head] on which integers and float differ.
    """
    table = Table(title="Hashes, by layer and head", title_justify="left")
    balance = "+1 in a bit, least…most"
    names = ["layer", "head", *COLUMNS.values(), balance, "codes"]
    for name in names + (["bits ≠ float"] if disagreement else []):
        table.add_column(name, justify="right")
    rows = _rows(heads)
    for head in heads:
        row = [str(head["layer"]), str(head["head"])]
        row += [f"{head[name]:.3f}" for name in COLUMNS]
        row += [f"{min(head['balance']):.2f}…{max(head['balance']):.2f}"]
        row += [f"{head['codes']:,} of {head['keys']:,}"]
        if disagreement:
            row.append(f"{disagreement[rows[head['layer']]][head['head']]:.2%}")
        table.add_row(*row)
    console = make_console()
    console.print(table)
    for head in heads:
        for text in head["warnings"]:
            console.print(
                f"warning: layer {head['layer']}, head {head['head']}: {text}", highlight=False
            )


def quality_panels(
    heads: list[dict], disagreement: list[list[float]] | None = None
) -> dict[str, tuple]:
    """Panels for :func:`golden.quality.plot.save_heat_maps`."""
    rows = _rows(heads)

    def values(name):
        found = [[] for _ in rows]
        for head in heads:
            found[rows[head["layer"]]].append(head[name])
        return found

    panels = {
        "separation": (values("separation"), 0.5, 1),
        "correlation with q·k": (values("correlation"), 0, 1),
        "output error": (values("output_error"), 1, 0),
        "bit entropy": (values("entropy"), 0, 1),
    }
    if disagreement:
        agreement = [[1 - rate for rate in heads] for heads in disagreement]
        panels["code bits, integer = float"] = (agreement, 0.9, 1)
    return panels


def _rows(heads):
    """The place of every layer among those that have hashes."""
    return {layer: row for row, layer in enumerate(sorted({head["layer"] for head in heads}))}
