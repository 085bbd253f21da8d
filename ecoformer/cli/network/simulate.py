# SPDX-License-Identifier: Apache-2.0
"""``ecoformer simulate`` of a whole network: rate, latency, and every layer's lanes."""

from pathlib import Path

import numpy as np
import typer
from rich.table import Table

from ecoformer.cli.common import make_console, show_table, write_json
from ecoformer.cli.network.folder import NetworkFolder
from ecoformer.progress import show_progress

__all__ = ["simulate_network_in"]


def simulate_network_in(
    network: NetworkFolder,
    images: Path | None,
    *,
    stall: float,
    waves: str | None,
    simulator: str | None,
    seed: int,
    json_file: Path | None,
) -> None:
    """Simulate the network of a folder and print its figures; exit 1 if a pin is undefined."""
    from ecoformer.sim.network.simulate import simulate_network

    design, simulator = network.design, simulator or ("verilator" if waves else "compiled")
    stimuli, what = network.stimuli(images), design.packet
    if simulator == "compiled" and isinstance(stimuli, np.ndarray):
        # Enough of them that the pipeline is full for a while.
        wanted = max(len(stimuli), 4 * design.depth + 12)
        stimuli = stimuli[np.arange(wanted) % len(stimuli)]
    with show_progress() as progress:
        run = simulate_network(
            design, network.verilog, stimuli, stall=stall, seed=seed, simulator=simulator,
            waves=network.folder / f"waves.{waves}" if waves else None,
            build_dir=network.build_dir, progress=progress,
        )
    figures = run.summary()
    write_json(json_file, figures)
    rate, published = figures["cycles_per_image"], figures["published_cycles_per_image"]
    show_table(f"Simulation of {network.verilog.name}", [
        ("simulator", figures["simulator"]),
        (f"{what}s", figures["images"]),
        ("cycles", figures["cycles"]),
        (f"cycles from {design.first_and_last}", figures["latency"]),
        (f"cycles per {what}, measured", f"too few {what}s" if rate is None else f"{rate:,.1f}"),
        *([(f"cycles per {what}, published", published)] if published is not None else []),
        *([("cycles in which a pin is undefined", run.undefined)]
          if run.undefined is not None else []),
        ("simulated cycles per second", figures["cycles_per_second"]),
        *([("waves", run.waves)] if run.waves else []),
    ])
    if figures["layers"]:
        _show_layers(figures["layers"])
    if run.undefined:
        raise typer.Exit(1)


def _show_layers(layers):
    table = Table(title="Layers: busy of all cycles, useful of all lanes", title_justify="left")
    table.add_column("layer")
    columns = ("lanes", "busy", "useful", "steady_busy", "steady_useful")
    for column in columns:
        table.add_column(column.replace("steady_", "steady "), justify="right")
    for name, shares in layers.items():
        table.add_row(name.replace("_", " "), *(_text(shares[column]) for column in columns))
    make_console().print(table)


def _text(value):
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.1%}"
