# SPDX-License-Identifier: Apache-2.0
"""``ecoformer estimate``: cells, memories and rate of an engine or a network, without synthesis."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from ecoformer.cli.common import ConfigOption, JsonOption, show_table, write_json
from ecoformer.cli.guard import Choice, Range, TargetFile
from ecoformer.cli.network.estimate import network_figures, resource_rows, show_network
from ecoformer.files import write_atomic
from ecoformer.hw.synth.targets import ECP5
from ecoformer.spec.config import RANGES, Config
from ecoformer.spec.cost.estimate import Estimate, estimate, fastest, model

__all__ = ["command", "rows"]

EPILOG = (
    "Example: ecoformer estimate -c demo --clock 120\n\n"
    "The fastest engine that fits a part: ecoformer estimate -c demo --fit 25k --output "
    "fitted.toml, then: ecoformer generate -c fitted.toml -o engine\n\n"
    "A whole network: ecoformer estimate --network -c exported/network.toml"
)
LOW, HIGH = RANGES["clock_mhz"]


def command(
    config: ConfigOption,
    network: Annotated[
        bool,
        typer.Option("--network", help="A whole network: -c is what 'export --network' wrote."),
    ] = False,
    device: Annotated[
        str, typer.Option("--device", metavar="NAME", help="Show shares of this ECP5."),
        Choice(tuple(ECP5.parts)),
    ] = ECP5.default,
    clock: Annotated[
        float | None,
        typer.Option("--clock", metavar="MHZ", help="Clock to assume [the configuration's]."),
        Range(float(LOW), float(HIGH)),
    ] = None,
    fit: Annotated[
        str | None,
        typer.Option(
            "--fit", metavar="NAME", help="Choose the fewest cycles_per_token that fit this ECP5."
        ),
        Choice(tuple(ECP5.parts)),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Write the configuration (.toml)."),
        TargetFile((".toml",)),
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """Estimate what an engine, or a network, takes of an ECP5, in a moment and without any tool.

    Block RAM, multipliers and cycles follow from rules; cells from a model that was fitted to
    synthesised engines, or networks, with the error that the table names. The clock is assumed:
    'synth' measures it. --fit leaves room for that error.
    """
    part = ECP5.parts[fit or device]
    device = fit or device
    if network:
        figures = network_figures(config, part if fit else None, clock, output)
        write_json(json_file, {"config": str(config), "device": device, **figures})
        show_network(f"{config} on {part.title}, estimated", figures, part.capacity, output)
        return
    chosen = Config.load(config)
    if fit is not None:
        chosen = fastest(chosen, part.capacity, part.title)
    found = estimate(chosen, clock)
    if output is not None:
        write_atomic(output, chosen.as_toml())
    write_json(json_file, {
        "config": str(config), "fingerprint": chosen.fingerprint, "device": device,
        "folding": chosen.cycles_per_token, **found.as_dict(),
    })
    shown = rows(found, part.capacity)
    if output is not None:
        shown.append(("written", output))
    show_table(f"{config} on {part.title}, estimated", shown)


def rows(found: Estimate, capacity: Mapping[str, int] | None = None) -> list[tuple[str, object]]:
    """What a table says of an estimate, with shares of a part's ``capacity`` if it is given."""
    return [
        *resource_rows(found.as_dict(), capacity, f"{model()['held_out_engines']} engines"),
        ("cycles per token", f"{found.cycles_per_token:g}"),
        ("tokens·heads per second", f"{found.tokens_per_second:,.0f} at {found.clock_mhz:g} MHz"),
    ]
