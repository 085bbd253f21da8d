# SPDX-License-Identifier: Apache-2.0
"""``ecoformer energy``: operations and energy of a network, softmax beside EcoFormer."""

from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ecoformer.cli.common import JsonOption, make_console, write_json
from ecoformer.cli.guard import Choice, Range, TargetFile
from ecoformer.errors import EcoformerError

__all__ = ["command", "energy"]

EPILOG = (
    "Example: ecoformer energy PVTv2-B0 --plot energy.png   Every network: ecoformer energy all   "
    "Your own: ecoformer energy examples/deit-small.toml"
)

ALL = "all"
ACCOUNTINGS = ("paper", "honest", "both")
LARGEST = 1_000_000
"""Of every count."""
ARMS = {"softmax": "softmax", "ecoformer": "EcoFormer"}


def command(
    network: Annotated[
        str | None,
        typer.Argument(
            metavar="NETWORK",
            help="A name of --list, 'all', a shape file or configuration (.toml, .json), "
            "or a trained model (.pt).",
        ),
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="Names of the known networks.")] = False,
    accounting: Annotated[
        str, typer.Option("--accounting", metavar="NAME", help="paper, honest or both."),
        Choice(ACCOUNTINGS),
    ] = "both",
    code_bits: Annotated[
        int | None, typer.Option("-b", "--code-bits", metavar="B", help="Bits of a code [16]."),
        Range(1, LARGEST),
    ] = None,
    anchors: Annotated[
        int | None, typer.Option("-m", "--anchors", metavar="M", help="Anchors of the hash [25]."),
        Range(1, LARGEST),
    ] = None,
    image_size: Annotated[
        int | None, typer.Option("--image-size", metavar="PIXELS", help="Side of the image [224]."),
        Range(1, LARGEST),
    ] = None,
    reuse: Annotated[
        int | None,
        typer.Option(
            "--reuse", metavar="TOKENS",
            help="Honest: tokens served by one read of a weight, key or value [16].",
        ),
        Range(1, LARGEST),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Bars (.png, .svg or .pdf)."),
        TargetFile((".png", ".svg", ".pdf")),
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """Count the operations of a network and price them, with softmax and with EcoFormer attention.

    By the paper's accounting, and by an honest one of the engine's integers and memories.
    """
    if show:
        from ecoformer.golden.energy.named import NETWORKS

        print("\n".join(NETWORKS))
        return
    if network is None:
        raise EcoformerError("no network given; 'ecoformer energy --list' names the known ones")
    if plot:
        from ecoformer.golden.energy.plot import save_plot
    figures = energy(
        network, accounting=accounting, code_bits=code_bits, anchors=anchors,
        image_size=image_size, reuse=reuse,
    )
    unit, scale = _unit(figures["networks"])
    if plot:
        named = [(f["name"], f["accountings"]) for f in figures["networks"]]
        save_plot(plot, named, unit, scale)
    write_json(json_file, figures)
    show_figures = _show_one if len(figures["networks"]) == 1 else _show_many
    show_figures(figures["networks"], unit, scale)


def energy(
    network: str,
    *,
    accounting: str = "both",
    code_bits: int | None = None,
    anchors: int | None = None,
    image_size: int | None = None,
    reuse: int | None = None,
) -> dict:
    """Figures of a network, or of all known ones, as JSON-ready values.

    Parameters
    ----------
    network : str
        A name, ``all``, or a file; see :func:`golden.energy.sources.find`.
    accounting : str
        ``paper``, ``honest`` or ``both``.
    code_bits, anchors, image_size, reuse : int or None
        None is what the network's origin says: 16, 25, 224 and 16 for the known ones.

    Returns
    -------
    dict
        ``networks``: a list of dicts with name, sizes and, by name, the ``accountings`` of
        :func:`golden.energy.report.measure`.
    """
    from ecoformer.golden.energy import sources

    names = sources.NETWORKS if network.lower() == ALL else [network]
    return {
        "networks": [
            _figures(sources.find(name), accounting, code_bits, anchors, image_size, reuse)
            for name in names
        ]
    }


def _figures(source, accounting, code_bits, anchors, image_size, reuse):
    from ecoformer.golden.energy.honest import DEFAULT_REUSE, Honest
    from ecoformer.golden.energy.paper import Paper
    from ecoformer.golden.energy.report import measure

    network = source.network
    b, m = code_bits or source.code_bits, anchors or source.anchors
    results = {}
    try:
        if image_size is not None:
            network = network.resized(image_size)
    except ValueError as error:
        raise EcoformerError(f"{network.name}: {error}") from error
    if accounting != "honest":
        results["paper"] = measure(network, Paper(b, m))
    if accounting != "paper":
        try:
            honest = Honest(b, m, source.engine, reuse or DEFAULT_REUSE)
            results["honest"] = measure(network, honest)
        except ValueError as error:
            raise EcoformerError(
                f"{network.name}: {error}; or leave the engine out with --accounting paper"
            ) from error
    return {
        "name": network.name,
        "image_size": network.image_size or None,
        "tokens": network.tokens or None,
        "code_bits": b,
        "anchors": m,
        "accountings": results,
    }


# -- tables ----------------------------------------------------------------------------------------


def _unit(networks):
    """Billions as in the paper, or millions for small networks."""
    least = min(
        result[arm]["network"]["energy_pj"]
        for figures in networks
        for result in figures["accountings"].values()
        for arm in ARMS
    )
    return ("B ", 1e9) if least >= 1e8 else ("M ", 1e6)


def _show_one(networks, unit, scale):
    (figures,) = networks
    console = make_console()
    _show_heading(console, figures, f"{figures['name']}, ")
    for name, result in figures["accountings"].items():
        table = Table(title=f"{name} accounting", title_justify="left")
        table.add_column("")
        for column in (*ARMS.values(), "ratio"):
            table.add_column(column, justify="right")
        for scope, title in (("attention", "attention alone"), ("network", "whole network")):
            table.add_row(title, style="bold")
            for row in _rows(name, result, scope, unit, scale):
                table.add_row(*row)
            table.add_section()
        table.add_row("energy saved", "", _saved(result), "", style="bold")
        if (tokens := result["cheaper_from_tokens"]) is not None:
            table.add_row("attention is cheaper from", "", f"{tokens} tokens", "")
        console.print(table)
        _show_assumptions(console, result)


def _rows(name, result, scope, unit, scale):
    keys = [
        ("multiplications", f"multiplications, {unit.strip()}"),
        ("additions", f"additions, {unit.strip()}"),
    ]
    if name == "honest":
        keys += [
            ("arithmetic_pj", f"arithmetic, {unit}pJ"),
            ("memory_pj", f"on-chip memory, {unit}pJ"),
            ("dram_pj", f"DRAM, {unit}pJ"),
        ]
    for key, label in (*keys, ("energy_pj", f"energy, {unit}pJ")):
        softmax, ecoformer = (result[arm][scope][key] for arm in ARMS)
        ratio = f"{softmax / ecoformer:.1f}×" if softmax and ecoformer else ""
        yield f"  {label}", f"{softmax / scale:.2f}", f"{ecoformer / scale:.2f}", ratio


def _show_many(networks, unit, scale):
    console = make_console()
    _show_heading(console, networks[0], "")
    for name in networks[0]["accountings"]:
        table = Table(title=f"{name} accounting, operations in {unit.strip()}, energy in {unit}pJ",
                      title_justify="left", box=SIMPLE_HEAD, padding=0)
        table.add_column("")
        for column in (
            "softmax\nMul", "\nAdd", "\nenergy", "EcoFormer\nMul", "\nAdd", "\nenergy",
            "\nsaved", "attention\nratio",
        ):
            table.add_column(column, justify="right")
        for figures in networks:
            result = figures["accountings"][name]
            values = [
                f"{result[arm]['network'][key] / scale:.2f}"
                for arm in ARMS
                for key in ("multiplications", "additions", "energy_pj")
            ]
            softmax, ecoformer = (result[arm]["attention"]["energy_pj"] for arm in ARMS)
            table.add_row(
                figures["name"], *values, _saved(result), f"{softmax / ecoformer:.1f}×"
            )
        console.print(table)
        _show_assumptions(console, networks[0]["accountings"][name])


def _show_heading(console, figures, start):
    if side := figures["image_size"]:
        size, each = f"{side} × {side} pixels", "image"
    else:
        size, each = f"{figures['tokens']} tokens", "sequence"
    console.print(
        f"{start}{size}, b = {figures['code_bits']}, m = {figures['anchors']}; per {each}",
        highlight=False, style="bold",
    )


def _show_assumptions(console, result):
    for line in result["assumptions"]:
        console.print(Padding(Text(f"- {line}", style="dim"), (0, 0, 0, 2), expand=False))
    console.print()


def _saved(result):
    softmax, ecoformer = (result[arm]["network"]["energy_pj"] for arm in ARMS)
    return f"{1 - ecoformer / softmax:.0%}"
