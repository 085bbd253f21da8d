# SPDX-License-Identifier: Apache-2.0
"""``ecoformer board``: an engine or a network on a board, down to the bitstream."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ecoformer.cli.common import (
    JsonOption,
    NetworkOption,
    OutputOption,
    RouterOption,
    SeedOption,
    show_table,
    write_json,
)
from ecoformer.cli.guard import Choice, Range, Source
from ecoformer.cli.on_board import EngineOnBoard, NetworkOnBoard, OnBoard
from ecoformer.cli.synth import keep_logs, read_seeds
from ecoformer.errors import EcoformerError
from ecoformer.hw.boards.catalogue import BOARDS, find_board
from ecoformer.hw.synth.targets import find_target
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
MARK = "board.json"
DEVICES = tuple(dict.fromkeys(device for board in BOARDS.values() for device in board.devices))
CLOCKS = (10.0, 400.0)
BAUDS = (9_600, 12_000_000)
FRAMES = (64, 32_768)
MEGA = 1_000_000


def command(
    board: Annotated[
        str, typer.Argument(metavar="BOARD", help=f"One of {', '.join(BOARDS)}."),
        Choice(tuple(BOARDS)),
    ],
    output: OutputOption,
    config: Annotated[
        Path | None,
        typer.Option(
            "-c", "--config", metavar="CONFIG",
            help="Name of a preset, or a .toml file [smallest; up5k on iCEBreaker].",
        ),
        Source(),
    ] = None,
    parameters: Annotated[
        Path | None,
        typer.Option(
            "-p", "--parameters", metavar="FILE",
            help="Learned parameters (.safetensors) for the driver to load, or those of the "
            "network [random ones].",
        ),
        Source(),
    ] = None,
    network: NetworkOption = False,
    device: Annotated[
        str | None,
        typer.Option("--device", metavar="NAME", help="The FPGA on your board [the largest]."),
        Choice(DEVICES),
    ] = None,
    clock: Annotated[
        float | None,
        typer.Option(
            "--clock", metavar="MHZ",
            help="Of the design, made by a PLL [100 on ECP5, else that of the oscillator].",
        ),
        Range(*CLOCKS),
    ] = None,
    baud: Annotated[
        int | None,
        typer.Option("--baud", metavar="RATE", help="Of the serial port [3000000]."),
        Range(*BAUDS),
    ] = None,
    frame: Annotated[
        int | None,
        typer.Option(
            "--frame", metavar="BYTES", help="Longest payload on the line [2048; 512 on iCE40]."
        ),
        Range(*FRAMES),
    ] = None,
    seeds: Annotated[
        str,
        typer.Option(
            "--seeds", metavar="LIST", help="Placer seeds: a list (1,2,3) or a count; best wins."
        ),
    ] = "1",
    router: RouterOption = None,
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
    network with its parameters: a host sends images, or a decoder's tokens, and fetches scores.

    DIR then holds the bitstream (board.bit, board.fs or board.bin), board.v (the whole board), its
    pins (board.lpf, .cst or .pcf), board.json (every figure), the logs of the tools, and engine/ or
    network/, which is what 'generate' writes.

    Exits with 1, without a bitstream, if the clock is not reached: try more --seeds, a lower
    --clock, or a configuration with more cycles_per_token.

    Needs: pip install 'ecoformer[boards]'. The very first run compiles the tools.
    """
    placer_seeds = read_seeds(seeds)
    design = (NetworkOnBoard if network else EngineOnBoard)(
        config or find_board(board).preset, parameters, seed
    )
    figures = build(
        board, output, design, device=device, clock_mhz=clock, baud=baud, frame=frame,
        seeds=placer_seeds, router=router, building=building, jobs=jobs,
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
    clock_mhz: float | None = None,
    baud: int | None = None,
    frame: int | None = None,
    seeds: list[int],
    router: str | None = None,
    building: bool = True,
    jobs: int | None = None,
) -> dict[str, Any]:
    """Write the folder ``output``; returns its figures as JSON-ready values."""
    from ecoformer.hw.boards.top import TOP, BoardTop, board_verilog, constraints
    from ecoformer.hw.synth import flow
    from ecoformer.hw.synth.pads import ROUTED, Pads

    board = find_board(name)
    device = device or board.devices[0]
    if device not in board.devices:
        raise EcoformerError(
            f"--device {device}: {board.title} comes with {' or '.join(board.devices)}; choose "
            "what is printed on yours"
        )
    target = find_target(board.target)
    pads = target.pad_flow()
    pins_file, bitstream = f"board.{pads.constraints}", f"board.{pads.bitstream}"
    top = BoardTop(
        board, device, design.core, baud=baud, frame_bytes=frame,
        clock_hz=None if clock_mhz is None else round(clock_mhz * MEGA),
    )
    written = OutputFolder(output, MARK, ("board.v", pins_file))
    generated = Path(output) / design.folder
    design.check(generated)
    with written.writing() as folder, show_progress() as progress:
        verilog, pins = board_verilog(top), constraints(top)
        clock = top.clock.hertz
        figures: dict[str, Any] = {
            "board": name,
            "title": board.title,
            "device": device,
            "part": target.parts[device].title,
            "speed": board.speed,
            "clock_hz": clock,
            "baud": top.baud,
            "frame_bytes": top.frame_bytes,
            "serial": board.serial,
            "fingerprint": design.fingerprint,
            "seeds": seeds,
        }
        if building:
            try:
                figures |= flow.synthesise(
                    verilog, TOP, target, folder, device=device, units=False, pads=True,
                    jobs=jobs, progress=progress,
                )
                flow.place(
                    figures, folder, device=device, speed=board.speed, seeds=seeds, router=router,
                    jobs=jobs, context=Pads(pads, board.package, pins, clock / MEGA, board.devices),
                    progress=progress,
                )
                best = max(figures["runs"], key=lambda run: run["fmax_mhz"])
                figures["timing_met"] = best["fmax_mhz"] * MEGA >= clock
                if figures["timing_met"]:
                    flow.pack_bitstream(
                        figures, folder, seed=best["seed"], path=bitstream, progress=progress
                    )
            except EcoformerError as error:
                raise EcoformerError(f"{error}; {keep_logs(folder, output)}") from error
        for pattern in ("netlist.*", ROUTED.format("*")):  # large, and of no use once it is packed
            for left in folder.glob(pattern):
                left.unlink()
        (folder / "board.v").write_text(verilog, encoding="utf-8")
        (folder / pins_file).write_text(pins, encoding="utf-8")
        write_json(folder / MARK, figures)
    design.generate(generated)
    if figures.get("timing_met"):
        figures["load"] = f"openFPGALoader -b {board.programmer} {Path(output) / bitstream}"
    return figures


def results(output: str | Path) -> OutputFolder:
    """The folder that a build writes, refused if it cannot."""
    return OutputFolder(output, MARK)


def _show(figures, output):
    clock = figures["clock_hz"] / MEGA
    grade = f", speed grade {figures['speed']}" if figures["speed"] else ""
    rows = [
        ("device", f"{figures['part']}{grade}"),
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
