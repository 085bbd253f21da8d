# SPDX-License-Identifier: Apache-2.0
"""``ecoformer simulate``: cycles, utilisation and waveforms of a generated design."""

from typing import Annotated

import typer
from rich.table import Table

from ecoformer.cli.common import (
    BuildDirOption,
    Design,
    DesignArgument,
    JsonOption,
    NamedSimulatorOption,
    SeedOption,
    StallOption,
    WorkloadOption,
    make_console,
    show_table,
    write_json,
)
from ecoformer.cli.guard import Choice
from ecoformer.cli.network.folder import NetworkFolder, is_network
from ecoformer.cli.network.simulate import simulate_network_in
from ecoformer.progress import show_progress

__all__ = ["command"]

EPILOG = "Example: ecoformer simulate engine --stall 0.2 --waves fst"


def command(
    directory: DesignArgument,
    workload: WorkloadOption = None,
    stall: StallOption = 0.0,
    waves: Annotated[
        str | None,
        typer.Option("--waves", metavar="FORMAT", help="Record DIR/waves.fst or DIR/waves.vcd."),
        Choice(("fst", "vcd")),
    ] = None,
    simulator: NamedSimulatorOption = None,
    seed: SeedOption = 0,
    build_dir: BuildDirOption = None,
    json_file: JsonOption = None,
) -> None:
    """Simulate the generated Verilog cycle by cycle; report cycles, utilisation and counters.

    A unit is busy in the cycles in which it works on a token; useful lanes are those that
    results depend on. The steady state lasts from the first result of the second sequence to the
    last input. Nothing is compared: that is what 'verify' does.

    A folder of 'generate --network' is recognised: -w holds images, and every layer's lanes are
    reported. Icarus also checks that no pin that has a meaning is undefined; exit 1 if one is.

    The first run compiles the design, which takes a minute or more; later runs start at once.
    """
    if is_network(directory):
        simulate_network_in(
            NetworkFolder.load(directory, build_dir), workload, stall=stall, waves=waves,
            simulator=simulator, seed=seed, json_file=json_file,
        )
        return
    from ecoformer.sim.simulate import simulate

    simulator = simulator or "verilator"
    design = Design.load(directory, build_dir)
    with show_progress() as progress:
        run = simulate(
            design.config, design.verilog, design.image, design.workload(workload),
            stall=stall, seed=seed, simulator=simulator, build_dir=design.build_dir,
            waves=design.folder / f"waves.{waves}" if waves else None,
            trace=False, progress=progress,
        )
    figures = run.summary()
    write_json(json_file, figures)
    counters = ("BUSY", "STARVED", "BLOCKED", "DENOMINATOR")
    show_table(f"Simulation of {design.verilog.name}", [
        ("simulator", figures["simulator"]),
        ("sequences", figures["sequences"]),
        ("tokens", figures["tokens"]),
        ("cycles, first beat in to last beat out", figures["cycles"]),
        ("cycles per token, measured", f"{figures['cycles_per_token']:.3f}"),
        ("cycles per token, configured", f"{figures['configured_cycles_per_token']:g}"),
        ("utilisation", f"{figures['utilisation']:.1%}"),
        *(
            [("cycles of the best schedule, without latency", figures["bound_cycles"])]
            if figures["bound_cycles"]
            else []
        ),
        *((f"register {name}", figures["registers"][name]) for name in counters),
        ("simulated cycles per second", figures["cycles_per_second"]),
        *([("waves", run.waves)] if run.waves else []),
    ])
    if figures["units"]:
        _show_units(figures["units"])


def _show_units(units):
    table = Table(title="Units: busy of all cycles, useful of all lanes", title_justify="left")
    table.add_column("unit")
    columns = ("lanes", "busy", "useful", "steady_busy", "steady_useful")
    for column in columns:
        table.add_column(column.replace("steady_", "steady "), justify="right")
    for name, shares in units.items():
        if name == "multipliers":
            table.add_section()
        table.add_row(name.replace("_", " "), *(_text(shares[column]) for column in columns))
    make_console().print(table)


def _text(value):
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.1%}"
