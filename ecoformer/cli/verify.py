# SPDX-License-Identifier: Apache-2.0
"""``ecoformer verify``: simulation against the integer model, bit by bit."""

from dataclasses import replace
from typing import Annotated

import numpy as np
import typer

from ecoformer.cli.common import (
    BuildDirOption,
    Design,
    DesignArgument,
    JsonOption,
    SeedOption,
    SimulatorOption,
    StallOption,
    WorkloadOption,
    show_table,
    write_json,
)
from ecoformer.cli.guard import Range
from ecoformer.errors import EcoformerError
from ecoformer.progress import show_progress
from ecoformer.spec.workload import Workload

__all__ = ["command"]

EPILOG = "Example: ecoformer verify engine --random 20 --stall 0.3 --json verify.json"
MOST_BYTES = 1 << 29
"""Of random sequences, which are held in memory."""
SHOWN = 20
"""Mismatches printed; the JSON file holds them all."""


def command(
    directory: DesignArgument,
    workload: WorkloadOption = None,
    random: Annotated[
        int,
        typer.Option(
            "--random", metavar="N", help="Stream N random sequences, not the design's."
        ),
        Range(0, 1_000_000),
    ] = 0,
    stall: StallOption = 0.0,
    simulator: SimulatorOption = "verilator",
    fast: Annotated[
        bool,
        typer.Option("--fast", help="Compiled simulation; traces codes only after a mismatch."),
    ] = False,
    seed: SeedOption = 0,
    build_dir: BuildDirOption = None,
    json_file: JsonOption = None,
) -> None:
    """Simulate the Verilog and compare it, bit by bit, with the integer model; exit 1 if different.

    Every mismatch is located: sequence, token, lane, and the first stage that went wrong. The
    first run compiles the design, which takes a minute or more; later runs start at once.
    """
    design = Design.load(directory, build_dir)
    sequences = _random(design, random, seed) if random else design.workload(workload)
    run, report = _verify(design, sequences, "compiled" if fast else simulator, stall, seed)
    traced = _trace(design, sequences, report, simulator, seed) if fast else None
    figures = {**report.as_dict(), "simulation": run.summary()}
    if traced is not None:
        figures["traced"] = traced.as_dict()
    write_json(json_file, figures)
    show_table(f"Verification of {design.verilog.name}", [
        ("sequences compared", report.sequences),
        ("output elements compared", report.words),
        ("token codes compared", report.codes),
        ("mismatches", len(report.mismatches)),
        ("cycles per token, measured", f"{run.cycles_per_token:.3f}"),
        ("result", "bit-exact" if report.ok else "DIFFERENT"),
    ])
    for mismatch in report.mismatches[:SHOWN]:
        print(mismatch)
    if len(report.mismatches) > SHOWN:
        print(f"… and {len(report.mismatches) - SHOWN} more; --json FILE holds them all")
    if traced is not None:
        print(_finding(traced))
    if not report.ok:
        raise typer.Exit(1)


def _verify(design, workload, simulator, stall, seed):
    from ecoformer.sim.simulate import simulate
    from ecoformer.sim.verify import compare

    with show_progress() as progress:
        run = simulate(
            design.config, design.verilog, design.image, workload, stall=stall, seed=seed,
            simulator=simulator, build_dir=design.build_dir, progress=progress,
        )
    return run, compare(design.config, design.image, workload, run)


def _trace(design, workload, report, simulator, seed):
    """Run the first wrong sequence alone on the bench that traces codes, to find the stage."""
    wrong = [m.sequence for m in report.mismatches if m.sequence is not None]
    if not wrong:
        return None
    alone = Workload.from_sequences([list(workload.sequences())[wrong[0]]])
    traced = _verify(design, alone, simulator, 0.0, seed)[1]
    traced.mismatches = [
        m if m.sequence is None else replace(m, sequence=wrong[0]) for m in traced.mismatches
    ]
    return traced


def _finding(traced):
    if traced.ok:
        return (
            "Alone on the traced bench the first of these sequences is exact: it depends on what "
            "came before; verify without --fast to find the stage."
        )
    first = traced.mismatches[0]
    return f"Traced, alone, the first of these sequences goes wrong in stage {first.stage}: {first}"


def _random(design, sequences, seed):
    from ecoformer.sim.stimulus import random_workload

    config, rng = design.config, np.random.default_rng(seed)
    bytes_each = 8 * config.max_tokens * (config.family.key_elements + config.value_dim)
    if sequences > (most := max(1, MOST_BYTES // bytes_each)):
        raise EcoformerError(
            f"--random must be at most {most:,} for sequences of up to {config.max_tokens:,} "
            f"tokens, not {sequences:,}; verify in several runs with other seeds"
        )
    return random_workload(design.config, rng, sequences, sets=design.image.sets)
