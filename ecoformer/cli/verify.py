# SPDX-License-Identifier: Apache-2.0
"""``ecoformer verify``: simulated Verilog against the integer model and the whole contract."""

from typing import Annotated

import numpy as np
import typer
from rich.table import Table

from ecoformer.cli.common import (
    BuildDirOption,
    Design,
    DesignArgument,
    JsonOption,
    SeedOption,
    StallOption,
    WorkloadOption,
    make_console,
    write_json,
)
from ecoformer.cli.guard import Choice, Range
from ecoformer.cli.network.folder import NetworkFolder, is_network, refuse
from ecoformer.cli.network.verify import verify_network_in
from ecoformer.errors import EcoformerError
from ecoformer.progress import show_progress
from ecoformer.sim.toolchain import SIMULATORS

__all__ = ["command"]

EPILOG = (
    "Example: ecoformer verify engine --json verify.json\n\n"
    "Quick look while you edit the Verilog: ecoformer verify engine --quick\n\n"
    "Before a tape-out or a release: ecoformer verify engine --full\n\n"
    "A whole network: ecoformer verify chip\n\n"
    "Undefined bits (X), slowly: ecoformer verify engine --simulator icarus"
)
MOST_BYTES = 1 << 29
"""Of random sequences, which are held in memory."""
SHOWN = 20
"""Mismatches printed; the JSON file holds them all."""
FULL_ROUNDS = 6
"""Times the random part with --full."""


def command(
    directory: DesignArgument,
    workload: WorkloadOption = None,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Only the first phase: the design's own sequences or images."),
    ] = False,
    full: Annotated[
        bool, typer.Option("--full", help=f"{FULL_ROUNDS} times as much of all that is random.")
    ] = False,
    phase: Annotated[
        list[str] | None,
        typer.Option("--phase", metavar="NAME", help="Only this phase; may be given again."),
    ] = None,
    random: Annotated[
        int,
        typer.Option(
            "--random", metavar="N",
            help="The first phase streams N random sequences or images, not the design's.",
        ),
        Range(0, 1_000_000),
    ] = 0,
    stall: StallOption = 0.0,
    simulator: Annotated[
        str,
        typer.Option(
            "--simulator", metavar="NAME",
            help="compiled (fastest), verilator (cocotb) or icarus (cocotb, models X). The last "
            "two are slower, and play fewer scenes.",
        ),
        Choice(SIMULATORS),
    ] = "compiled",
    fast: Annotated[
        bool, typer.Option("--fast", help="Same as --simulator compiled, the default.")
    ] = False,
    seed: SeedOption = 0,
    build_dir: BuildDirOption = None,
    json_file: JsonOption = None,
) -> None:
    """Simulate the Verilog and compare it with the integer model, bit by bit; exit 1 if different.

    Phase by phase, the whole contract of the pins is tested: the design's own sequences, every
    register, lengths, extremes, random parameters, stalls, bad packets, soft resets, updates of
    parameters, and all of it in random order. Every beat, code, handshake, counter and interrupt
    is compared. Every mismatch is located: phase, scene, sequence, token, lane, and the first
    stage that went wrong.

    --stall applies to the phase 'workload'; the others have stalls of their own.

    A folder of 'generate --network' is recognised. Then images are sent, -w holds images, the
    phases are others, and a mismatch is located by image, first layer, token and lane.

    The first run compiles the design, which takes a minute or more; later runs start at once.
    """
    if is_network(directory):
        refuse(
            {"--simulator": simulator != "compiled" and simulator},
            "its testbench runs in other simulators: tb/",
        )
        verify_network_in(
            NetworkFolder.load(directory, build_dir), workload, quick=quick, full=full,
            phases=phase, random=random, stall=stall, seed=seed, json_file=json_file,
        )
        return
    from ecoformer.sim.plan import NAMES, WORKLOAD, make_plan
    from ecoformer.sim.verification import verify

    if unknown := set(phase or ()) - set(NAMES):
        raise EcoformerError(f"--phase {sorted(unknown)[0]}: choose {', '.join(NAMES)}")
    design = Design.load(directory, build_dir)
    phases = phase or ((WORKLOAD,) if quick else NAMES)
    sequences = _random(design, random, seed) if random else design.workload(workload)
    simulator = "compiled" if fast else simulator
    plan = make_plan(
        design.config, design.image, sequences, rounds=FULL_ROUNDS if full else 1, phases=phases,
        simulator=simulator, stall=stall, seed=seed,
    )
    with show_progress() as progress:
        result = verify(
            design.config, design.verilog, plan, simulator=simulator, seed=seed,
            build_dir=design.build_dir, progress=progress,
        )
    write_json(json_file, {"seed": seed, **result.as_dict()})
    _show(design, result)
    for mismatch in result.mismatches[:SHOWN]:
        print(mismatch)
    if len(result.mismatches) > SHOWN:
        print(f"… and {len(result.mismatches) - SHOWN} more; --json FILE holds them all")
    if not any(played.scenes for played in result.phases):
        raise EcoformerError(
            f"--phase {phases[0]}: no scene of it is short enough for simulator {simulator}; "
            "choose compiled, or add --full"
        )
    if not result.ok:
        options = {
            "--phase": result.mismatches[0].phase, "--seed": seed, "--full": full and "",
            "-w": workload, "--random": random or None, "--stall": stall or None,
            "--simulator": None if simulator == "compiled" else simulator,
        }
        again = [f"{name} {value}".strip() for name, value in options.items()
                 if value is not None and value is not False]
        print("The first phase that differs, again:", "ecoformer verify", directory, *again)
        raise typer.Exit(1)


COLUMNS = {
    "packets": "sequences", "words": "words", "codes": "codes", "faults": "faults",
    "loads": "loads", "registers": "registers", "cycles": "cycles", "mismatches": "mismatches",
}


def _show(design, result):
    table = Table(title=f"Verification of {design.verilog.name}", title_justify="left")
    table.add_column("phase", style="bold")
    for column in COLUMNS:
        table.add_column(column, justify="right")
    for phase in result.phases:
        table.add_row(phase.name, *(f"{_count(phase, name):,}" for name in COLUMNS.values()))
    table.add_section()
    totals = (sum(_count(phase, name) for phase in result.phases) for name in COLUMNS.values())
    table.add_row("bit-exact" if result.ok else "DIFFERENT", *(f"{total:,}" for total in totals))
    make_console().print(table)
    if result.run and result.run.beats:
        print(f"cycles per token of the workload, measured: {result.run.cycles_per_token:.3f}")
    for phase in result.phases:
        for scene in phase.left_out:
            print(f"left out of phase {phase.name}, too long for this simulator: {scene}")


def _count(phase, name):
    value = getattr(phase, name)
    return value if isinstance(value, int) else len(value)


def _random(design, sequences, seed):
    from ecoformer.sim.stimulus import random_workload

    config, rng = design.config, np.random.default_rng(seed)
    bytes_each = 8 * config.max_tokens * (config.sides.elements + config.value_dim)
    if sequences > (most := max(1, MOST_BYTES // bytes_each)):
        raise EcoformerError(
            f"--random must be at most {most:,} for sequences of up to {config.max_tokens:,} "
            f"tokens, not {sequences:,}; verify in several runs with other seeds"
        )
    return random_workload(design.config, rng, sequences, sets=design.image.sets)
