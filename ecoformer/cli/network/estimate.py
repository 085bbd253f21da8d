# SPDX-License-Identifier: Apache-2.0
"""``ecoformer estimate --network``: what a network takes, layer by layer, and how fast it is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from ecoformer.cli.common import make_console, show_table
from ecoformer.files import write_atomic
from ecoformer.hw.synth.target import Part
from ecoformer.spec.cost.network.estimate import (
    estimate_network,
    fastest_network,
    network_model,
)
from ecoformer.spec.network.load import load_design

__all__ = ["network_figures", "resource_rows", "show_network"]


def network_figures(
    config: str | Path, part: Part | None, clock: float | None, output: Path | None
) -> dict[str, Any]:
    """Figures of the network of a file, as JSON-ready values.

    Parameters
    ----------
    config : str or Path
    part : Part or None
        Choose the fewest cycles per token that fit it.
    clock : float or None
        In MHz; that of the file if None.
    output : Path or None
        Write the network's file there.

    Raises
    ------
    EcoformerError
        The file cannot be read or describes no network, or no rate fits.
    """
    design = load_design(config)
    if part is not None:
        design = fastest_network(design, part.capacity, part.title)
    if output is not None:
        write_atomic(output, design.as_toml())
    return {
        "fingerprint": design.fingerprint, "packet": design.packet,
        "folding": design.cycles_per_token, "heads_folding": design.engine.cycles_per_token,
        **estimate_network(design, clock).as_dict(),
    }


def show_network(
    title: str, figures: Mapping[str, Any], capacity: Mapping[str, int], output: Path | None
) -> None:
    """Print the figures, with shares of a part's ``capacity``, and those of every layer."""
    packet, cycles = figures["packet"], figures["cycles_per_token"]
    per_packet = cycles * figures["tokens_per_packet"]
    counts = {"cycles per token": cycles} | {f"cycles per {packet}": per_packet}
    rows = [
        *resource_rows(figures, capacity, f"{network_model()['held_out_networks']} networks"),
        *((name, f"{number:,g}") for name, number in counts.items()),
        ("cycles per token, heads", figures["heads_folding"]),
        (f"{packet}s per second",
         f"{figures['packets_per_second']:,.0f} at {figures['clock_mhz']:g} MHz"),
    ]
    show_table(title, [*rows, *([("written", output)] if output else [])])
    table = Table(title="Layers, along the path of a token", title_justify="left")
    table.add_column("layer")
    for resource in ("LUT", "DSP", "block RAM"):
        table.add_column(resource, justify="right")
    for layer in figures["layers"]:
        numbers = (layer["cells"], layer["dsp"], layer["block_ram"])
        table.add_row(layer["name"], *(f"{number:,}" for number in numbers))
    make_console().print(table)


def resource_rows(
    found: Mapping[str, Any], capacity: Mapping[str, int] | None, known: str
) -> list[tuple[str, object]]:
    """What a table says of cells, multipliers and block RAM, with shares of a part's ``capacity``.

    Parameters
    ----------
    found : dict
        ``cells``, ``cells_error``, ``dsp``, ``block_ram``.
    capacity : dict or None
    known : str
        On how many of what the error is known.
    """
    def counted(number, name):
        share = f" of {capacity[name]:,}, {number / capacity[name]:.0%}" if capacity else ""
        return f"{number:,}{share}"

    return [
        ("cells, packed", f"{counted(found['cells'], 'LUT')} ± {found['cells_error']:.0%}, the "
         f"largest error on {known}"),
        ("DSP", counted(found["dsp"], "DSP")),
        ("block RAM", counted(found["block_ram"], "block RAM")),
    ]
