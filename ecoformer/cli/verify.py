"""``ecoformer verify``: simulation against the integer model, bit by bit."""

from typing import Annotated

import typer

from ecoformer.cli.common import (
    Design,
    DesignArgument,
    JsonOption,
    SeedOption,
    SimulatorOption,
    StallOption,
    WorkloadOption,
    import_room,
    progress,
    show_table,
    write_json,
)

__all__ = ["command"]

EPILOG = "Example: ecoformer verify engine --random 20 --stall 0.3 --json verify.json"
SHOWN = 20
"""Mismatches that are printed; the JSON file holds every one."""


def command(
    directory: DesignArgument,
    workload: WorkloadOption = None,
    random: Annotated[
        int, typer.Option("--random", min=0, metavar="N", help="Stream N random sequences instead.")
    ] = 0,
    stall: StallOption = 0.0,
    simulator: SimulatorOption = "verilator",
    seed: SeedOption = 0,
    json_file: JsonOption = None,
):
    """Prove the generated Verilog equal to the integer model; exit 1 on any mismatch.

    Every mismatch is located: sequence, token, lane and the stage that went wrong first.
    """
    simulate = import_room("sim.simulate").simulate
    compare = import_room("sim.verify").compare
    design = Design.load(directory)
    chosen = _random(design, random, seed) if random else design.workload(workload)
    with progress() as reporter:
        run = simulate(
            design.config, design.verilog, design.image, chosen, stall=stall, seed=seed,
            simulator=simulator, build_dir=design.build_dir, reporter=reporter,
        )  # fmt: skip
    report = compare(design.config, design.image, chosen, run)
    figures = {**report.as_dict(), "simulation": run.summary()}
    write_json(json_file, figures)
    show_table(f"Verification of {design.verilog.name}", [
        ("sequences compared", report.sequences),
        ("output elements compared", report.words),
        ("token codes compared", report.codes),
        ("mismatches", len(report.mismatches)),
        ("cycles per token, measured", f"{run.cycles_per_token:.3f}"),
        ("result", "bit-exact" if report.ok else "DIFFERENT"),
    ])  # fmt: skip
    for mismatch in report.mismatches[:SHOWN]:
        print(mismatch)
    if len(report.mismatches) > SHOWN:
        print(f"… and {len(report.mismatches) - SHOWN} more; --json FILE holds them all")
    if not report.ok:
        raise typer.Exit(1)


def _random(design, sequences, seed):
    numpy = import_room("numpy")
    return import_room("sim.stimulus").random_workload(
        design.config, numpy.random.default_rng(seed), sequences, sets=design.image.sets
    )
