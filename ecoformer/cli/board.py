# SPDX-License-Identifier: Apache-2.0
"""``ecoformer board``: an engine or a network on a board, down to the bitstream."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ecoformer.cli.common import ConfigOption, JsonOption, SeedOption, show_table, write_json
from ecoformer.cli.guard import Choice, Range, Source, TargetFolder
from ecoformer.cli.on_board import EngineOnBoard, NetworkOnBoard, OnBoard
from ecoformer.cli.synth import keep_logs, read_seeds
from ecoformer.errors import EcoformerError
from ecoformer.hw.boards.catalogue import BOARDS, find_board
from ecoformer.hw.synth.targets import TARGETS
from ecoformer.outputs import OutputFolder
from ecoformer.progress import show_progress

__all__ = ["build", "command", "results"]

EPILOG = (
    "Example: ecoformer board ulx3s -c smallest -o board\n\n"
    "Then: openFPGALoader -b ulx3s board/board.bit\n\n"
    "The same program drives the board and its simulation: board/engine/driver, and the page "
    "'To a board' of the documentation.\n\n"
    "A whole network: ecoformer board ulx3s --network -c exported/network.toml "
    "-p exported/network.safetensors -o board"
)
MARK, BITSTREAM = "board.json", "board.bit"
CLOCKS = (10.0, 400.0)
BAUDS = (9_600, 12_000_000)
FRAMES = (64, 32_768)
MEGA = 1_000_000


def command(
    board: Annotated[
        str, typer.Argument(metavar="BOARD", help=f"One of {', '.join(BOARDS)}."),
        Choice(tuple(BOARDS)),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder to write."),
        TargetFolder(),
    ],
    config: ConfigOption = Path("smallest"),
    parameters: Annotated[
        Path | None,
        typer.Option(
            "-p", "--parameters", metavar="FILE",
            help="Learned parameters (.safetensors) for the driver to load, or those of the "
            "network [random ones].",
        ),
        Source(),
    ] = None,
    network: Annotated[
        bool,
        typer.Option(
            "--network",
            help="A whole network: -c and -p are what 'export --network' wrote.",
        ),
    ] = False,
    device: Annotated[
        str | None,
        typer.Option("--device", metavar="NAME", help="The FPGA on your board [the largest]."),
        Choice(tuple(TARGETS["ecp5"].parts)),
    ] = None,
    clock: Annotated[
        float, typer.Option("--clock", metavar="MHZ", help="Of the design, made by a PLL."),
        Range(*CLOCKS),
    ] = 100.0,
    baud: Annotated[
        int, typer.Option("--baud", metavar="RATE", help="Of the serial port."), Range(*BAUDS)
    ] = 3_000_000,
    frame: Annotated[
        int, typer.Option("--frame", metavar="BYTES", help="Longest payload on the line."),
        Range(*FRAMES),
    ] = 2_048,
    seeds: Annotated[
        str,
        typer.Option(
            "--seeds", metavar="LIST", help="Placer seeds: a list (1,2,3) or a count; best wins."
        ),
    ] = "1",
    building: Annotated[
        bool, typer.Option("--build/--no-build", help="Or only write Verilog and constraints.")
    ] = True,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", metavar="N", help="Processes at a time [one per core]."),
        Range(1, 1_024),
    ] = None,
    seed: SeedOption = 0,
    json_file: JsonOption = None,
) -> None:
    """Put an engine or a network on a board: Verilog, pins, place and route, bitstream.

    The board is an engine with a serial port. A host loads parameters, sends tokens and fetches
    results over the port, with the driver in DIR/engine/driver or your own. With --network it is a
    network with its parameters: a host sends images and fetches scores.

    DIR then holds board.bit, board.v (the whole board), board.lpf (its pins), board.json (every
    figure), the logs of the tools, and engine/ or network/, which is what 'generate' writes.

    Exits with 1, without a bitstream, if the clock is not reached: try more --seeds, a lower
    --clock, or a configuration with more cycles_per_token.

    Needs: pip install 'ecoformer[boards]'. The very first run compiles the tools.
    """
    placer_seeds = read_seeds(seeds)
    design = (NetworkOnBoard if network else EngineOnBoard)(config, parameters, seed)
    figures = build(
        board, output, design, device=device, clock_mhz=clock, baud=baud, frame=frame,
        seeds=placer_seeds, building=building, jobs=jobs,
    )
    write_json(json_file, figures)
    _show(figures, output)
    if building and not figures["timing_met"]:
        raise typer.Exit(1)


def build(
    name: str,
    output: str | Path,
    design: OnBoard,
    *,
    device: str | None = None,
    clock_mhz: float = 100.0,
    baud: int = 3_000_000,
    frame: int = 2_048,
    seeds: list[int],
    building: bool = True,
    jobs: int | None = None,
) -> dict[str, Any]:
    """Write the folder ``output``; returns its figures as JSON-ready values."""
    from ecoformer.hw.boards.top import TOP, BoardTop, board_verilog, constraints
    from ecoformer.hw.synth import flow
    from ecoformer.hw.synth.placing import Pads

    board = find_board(name)
    device = device or board.devices[0]
    if device not in board.devices:
        raise EcoformerError(
            f"--device {device}: {board.title} comes with {' or '.join(board.devices)}; choose "
            "what is printed on yours"
        )
    top = BoardTop(
        board, device, design.core, clock_hz=round(clock_mhz * MEGA), baud=baud,
        frame_bytes=frame,
    )
    written = OutputFolder(output, MARK, ("board.v", "board.lpf"))
    generated = Path(output) / design.folder
    design.check(generated)
    target = TARGETS["ecp5"]
    with written.writing() as folder, show_progress() as progress:
        verilog, pins = board_verilog(top), constraints(top)
        clock = top.clock.hertz
        figures: dict[str, Any] = {
            "board": name,
            "title": board.title,
            "device": device,
            "speed": board.speed,
            "clock_hz": clock,
            "baud": baud,
            "frame_bytes": frame,
            "serial": board.serial,
            "fingerprint": design.fingerprint,
            "seeds": seeds,
        }
        if building:
            try:
                figures |= flow.synthesise(
                    verilog, TOP, target, folder, units=False, jobs=jobs, progress=progress
                )
                flow.place(
                    figures, folder, device=device, speed=board.speed, seeds=seeds, jobs=jobs,
                    context=Pads(board.package, pins, clock / MEGA), progress=progress,
                )
                best = max(figures["runs"], key=lambda run: run["fmax_mhz"])
                figures["timing_met"] = best["fmax_mhz"] * MEGA >= clock
                if figures["timing_met"]:
                    flow.pack_bitstream(
                        figures, folder, seed=best["seed"], path=BITSTREAM, progress=progress
                    )
            except EcoformerError as error:
                raise EcoformerError(f"{error}; {keep_logs(folder, output)}") from error
        for pattern in ("netlist.*", "*.config"):  # large, and of no use once it is packed
            for left in folder.glob(pattern):
                left.unlink()
        (folder / "board.v").write_text(verilog, encoding="utf-8")
        (folder / "board.lpf").write_text(pins, encoding="utf-8")
        write_json(folder / MARK, figures)
    design.generate(generated)
    if figures.get("timing_met"):
        figures["load"] = f"openFPGALoader -b {board.programmer} {Path(output) / BITSTREAM}"
    return figures


def results(output: str | Path) -> OutputFolder:
    """The folder that a build writes, refused if it cannot."""
    return OutputFolder(output, MARK)


def _show(figures, output):
    clock = figures["clock_hz"] / MEGA
    rows = [
        ("device", f"LFE5U-{figures['device'][:-1]}F, speed grade {figures['speed']}"),
        ("clock", f"{clock:g} MHz"),
        ("serial port", f"{figures['baud']:,} baud, {figures['serial']}"),
    ]
    if "runs" in figures:
        best = max(run["fmax_mhz"] for run in figures["runs"])
        rows += [(f"{name}, packed", number) for name, number in figures["packed"].items()]
        verdict = "met" if figures["timing_met"] else (
            "NOT MET, no bitstream; try --seeds 4, a lower --clock or more cycles_per_token"
        )
        rows.append(("Fmax", f"{best:.1f} MHz of {clock:g} MHz: {verdict}"))
    rows += [("written", output), *([("load it", figures["load"])] if "load" in figures else [])]
    show_table(f"{figures['fingerprint'][:16]} on {figures['title']}", rows)
