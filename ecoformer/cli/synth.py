# SPDX-License-Identifier: Apache-2.0
"""``ecoformer synth``: cells, memories, multipliers, clock frequency and critical path."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from ecoformer.cli.common import (
    BuildDirOption,
    Design,
    DesignArgument,
    JsonOption,
    RouterOption,
    SimulatorOption,
    make_console,
    show_table,
    write_json,
)
from ecoformer.cli.guard import Choice, Range, TargetFolder
from ecoformer.cli.network.folder import NetworkFolder, is_network
from ecoformer.errors import EcoformerError
from ecoformer.files import cache_folder
from ecoformer.hw.synth.target import RESOURCES
from ecoformer.hw.synth.targets import DEVICES, TARGETS, target_of
from ecoformer.outputs import OutputFolder
from ecoformer.progress import show_progress
from ecoformer.spec.checks import check_number
from ecoformer.spec.network.decoder import DecoderDesign

__all__ = ["command", "keep_logs", "read_seeds"]

EPILOG = (
    "Example: ecoformer synth engine --seeds 1,2,3\n\n"
    "On a small part: ecoformer synth engine --device up5k --require-timing 20\n\n"
    "Every figure is in engine/synth-ecp5/synth.json."
)
MARK = "synth.json"
SPEEDS = sorted({grade for target in TARGETS.values() for grade in target.speeds})
MOST_SEEDS, LARGEST_SEED = 100, 2**31 - 1
SHOWN_DEPTH = 4
IMAGES_THROUGH_NETLIST, TOKENS_THROUGH_NETLIST = 2, 64
"""Of a network's own, few because cells take long to simulate."""
SHOWN_SHARE = 0.01
"""Units below this share of both LUTs and flip-flops are left out of the table."""


def command(
    directory: DesignArgument,
    target: Annotated[
        str | None,
        typer.Option(
            "--target", metavar="NAME",
            help=f"{', '.join(TARGETS)}; xc7 is not placed [the device's, or ecp5].",
        ),
        Choice(tuple(TARGETS)),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            "--device", metavar="NAME", help=f"{', '.join(DEVICES)} [the target's first].",
        ),
        Choice(tuple(DEVICES)),
    ] = None,
    speed: Annotated[
        int | None,
        typer.Option("--speed", metavar="GRADE", help="Of ecp5 [6] or nexus [7]."),
        Range(min(SPEEDS), max(SPEEDS)),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            "--seeds", metavar="LIST", help="Placer seeds: a list (1,2,3) or a count [1]."
        ),
    ] = None,
    placing: Annotated[
        bool, typer.Option("--place/--no-place", help="Place and route.")
    ] = True,
    router: RouterOption = None,
    require_timing: Annotated[
        float | None,
        typer.Option(
            "--require-timing", metavar="MHZ", help="Exit 1 if the median of the seeds is slower."
        ),
        Range(1.0, 1_000.0),
    ] = None,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Also simulate the mapped netlist; exit 1 if different."),
    ] = False,
    simulator: SimulatorOption = "icarus",
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", metavar="N", help="Processes at a time [one per core]."),
        Range(1, 1_024),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", help="Folder to write [DIR/synth-TARGET]."),
        TargetFolder(),
    ] = None,
    build_dir: BuildDirOption = None,
    json_file: JsonOption = None,
) -> None:
    """Synthesise an engine or a network, place and route it, and report its cells and clock.

    The design's figures, not a board's: pins end in nothing, or in a shift register on the chip
    where place and route wants a pad for each. The same seeds give the same bytes. The very first
    run compiles the tools, which takes up to a minute each. Needs: pip install 'ecoformer[synth]'.
    """
    from ecoformer.hw.synth import flow
    from ecoformer.sim.mapped import check_models
    from ecoformer.sim.toolchain import find_simulator
    from ecoformer.sim.verilog import read_verilog

    chosen = target_of(device, target)
    design: Design | NetworkFolder
    if is_network(directory):
        design, depth = NetworkFolder.load(directory, build_dir), flow.NETWORK_DEPTH
    else:
        design, depth = Design.load(directory, build_dir), None
    placing = placing and chosen.placed
    if not placing and not device == speed == seeds == router == require_timing is None:
        why = f"{chosen.title} is synthesised only" if not chosen.placed else "nothing is placed"
        raise EcoformerError(
            f"--device, --speed, --seeds, --router, --require-timing: {why}; leave them out"
        )
    device, placer_seeds = device or chosen.default, read_seeds(seeds or "1")
    if placing:
        chosen.check(device, speed, placer_seeds)
        chosen.router()[0].argv()  # is it installed?
    text = read_verilog(design.verilog)
    output = output or design.folder / f"synth-{chosen.name}"
    if verify:
        check_models(chosen.name, chosen.title)
        with tempfile.TemporaryDirectory() as folder:
            find_simulator(simulator, folder)  # not after minutes of synthesis
    with OutputFolder(output, MARK).writing() as folder, show_progress() as progress:
        try:
            figures = {
                "design": design.verilog.stem,
                "fingerprint": design.fingerprint,
                **flow.synthesise(
                    text, design.verilog.stem, chosen, folder, device=device,
                    depth=depth, jobs=jobs, progress=progress,
                ),
            }
            if placing:
                flow.place(
                    figures, folder, device=device, speed=speed, seeds=placer_seeds,
                    router=router, jobs=jobs, progress=progress,
                )
        except EcoformerError as error:
            raise EcoformerError(f"{error}; {keep_logs(folder, output)}") from error
        if verify:
            compare = _verify_network if isinstance(design, NetworkFolder) else _verify
            figures["verification"] = compare(design, folder, chosen.name, simulator, progress)
        write_json(folder / MARK, figures)
    write_json(json_file, figures)
    _show(figures, chosen, output, depth or SHOWN_DEPTH)
    too_slow = require_timing is not None and figures["fmax_median_mhz"] < require_timing
    if too_slow:
        typer.echo(
            f"Fmax: {figures['fmax_median_mhz']:.1f} MHz, but {require_timing:g} MHz are required",
            err=True,
        )
    if too_slow or verify and not figures["verification"]["ok"]:
        raise typer.Exit(1)


def read_seeds(text: str) -> list[int]:
    """The numbers of ``--seeds``, a list or a count."""
    try:
        numbers = [int(part) for part in text.split(",")]
        most = MOST_SEEDS if len(numbers) == 1 else LARGEST_SEED
        for number in numbers:
            check_number("each", number, int, 1, most)
        check_number("count", len(numbers), int, 1, MOST_SEEDS)
    except ValueError:
        raise EcoformerError(
            f"--seeds {text[:40]!r}: must be like 3, at most {MOST_SEEDS}, or like 1,2,3"
        ) from None
    return numbers if "," in text else list(range(1, numbers[0] + 1))


def _verify(design, folder, target, simulator, progress):
    """Compare the netlist with the integer model on the design's own vectors."""
    from ecoformer.sim.mapped import verify_mapped

    result = verify_mapped(
        design.config, design.image, design.workload(), folder / "netlist.v", target,
        build_dir=design.build_dir, simulator=simulator, progress=progress,
    )
    figures = result.as_dict()
    return {name: value for name, value in figures.items() if name not in ("phases", "simulation")}


def keep_logs(folder: Path, output: str | Path) -> str:
    """Put the logs of a failed run into the user's cache; ``output`` stays as it was."""
    digest = hashlib.sha256(os.path.realpath(output).encode()).hexdigest()[:12]
    kept = cache_folder(f"failed-synthesis/{digest}")
    for left in kept.iterdir():
        left.unlink()
    for log in folder.glob("*.log"):
        shutil.copyfile(log, kept / log.name)
    return f"the logs are in {kept}"


def _verify_network(design, folder, target, simulator, progress):
    """Compare the netlist of a network with the integer network on its first images or tokens."""
    from ecoformer.sim.network.mapped import verify_mapped_network

    tokens = isinstance(design.design, DecoderDesign)
    stimuli = design.stimuli()[: TOKENS_THROUGH_NETLIST if tokens else IMAGES_THROUGH_NETLIST]
    result = verify_mapped_network(
        design.design, design.image, stimuli, folder / "netlist.v", target,
        build_dir=design.build_dir, simulator=simulator, progress=progress,
    )
    figures = result.as_dict()
    shown = ("ok", "simulator", "images", "cycles", "mismatches")
    return {"words": figures["scores"], **{name: figures[name] for name in shown}}


def _show(figures, target, output, depth):
    rows = [*figures["resources"].items()]
    if "packed" in figures:
        rows += [
            (f"{name}, packed", number) for name, number in target.totals(figures["packed"]).items()
        ]
        if "harness_pins" in figures:
            rows.append(("of these, harness", f"{figures['harness_pins']:,} registers, one a pin"))
        end = {key: " ".join(filter(None, figures["critical_path"][key].values()))
               for key in ("from", "to")}
        path = figures["critical_path"]
        grade = f", speed grade {figures['speed']}" if figures["speed"] else ""
        rows += [
            ("device", f"{figures['part']}{grade}"),
            ("Fmax", "  ".join(f"{run['fmax_mhz']:.1f}" for run in figures["runs"])
             + f" MHz with seed {', '.join(map(str, figures['seeds']))}"),
            ("Fmax, median and best",
             f"{figures['fmax_median_mhz']:.1f} and {figures['fmax_best_mhz']:.1f} MHz"),
            ("critical path", f"{path['delay_ns']:.2f} ns, {path['logic_ns']:.2f} logic and "
             f"{path['routing_ns']:.2f} routing"),
            ("  from", end["from"]),
            ("  to", end["to"]),
        ]
    if "verification" in figures:
        found = figures["verification"]
        rows.append(("netlist against integer model", f"{found['words']:,} words, "
                     + ("bit-exact" if found["ok"] else "DIFFERENT")))
    rows.append(("written", output))
    show_table(f"{figures['design']} on {target.title}", rows)
    _show_units(figures, depth)


def _show_units(figures, shown_depth):
    table = Table(title="By component, parts included", title_justify="left")
    table.add_column("component")
    for name in RESOURCES:
        table.add_column(name, justify="right")
    whole = figures["units"][0]
    for unit in figures["units"][1:]:
        small = all(unit[name] < SHOWN_SHARE * whole[name] for name in ("LUT", "FF"))
        if unit["depth"] <= shown_depth and not (small and not unit["DSP"] + unit["block RAM"]):
            # Amaranth appends a number to an instance that is named like a signal.
            name = "  " * (unit["depth"] - 1) + unit["path"].split(".")[-1].split("$")[0]
            table.add_row(name, *(f"{unit[resource]:,}" for resource in RESOURCES))
    table.add_section()
    for name, row in (
        ("components kept apart", whole),
        ("saved across their borders", figures["across_units"]),
        ("flattened", figures["resources"]),
    ):
        table.add_row(name, *(f"{row[resource]:,}" for resource in RESOURCES))
    make_console().print(table)
