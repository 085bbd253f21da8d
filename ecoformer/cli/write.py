# SPDX-License-Identifier: Apache-2.0
"""``ecoformer write``: texts that a decoder writes, in integers or by its simulated Verilog."""

from pathlib import Path
from typing import Annotated

import typer

from ecoformer.cli.common import BuildDirOption, JsonOption, SeedOption, write_json
from ecoformer.cli.guard import Range, Source
from ecoformer.cli.network.folder import DESIGN, PARAMETERS, NetworkFolder
from ecoformer.errors import EcoformerError
from ecoformer.progress import show_progress
from ecoformer.spec.alphabet import as_text, as_tokens, name_of
from ecoformer.spec.network.decoder import DecoderDesign
from ecoformer.spec.network.image import NetworkImage
from ecoformer.spec.network.load import load_design

__all__ = ["command", "write"]

EPILOG = "Example: ecoformer write exported --start ma   Then: ecoformer write chip --rtl"


def command(
    directory: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="Folder of a decoder that 'export' or 'generate --network' wrote."
        ),
        Source(),
    ],
    texts: Annotated[
        int, typer.Option("-n", "--texts", metavar="N", help="Texts to write."), Range(1, 100_000)
    ] = 10,
    start: Annotated[
        str, typer.Option("--start", metavar="TEXT", help="Characters that every text begins with.")
    ] = "",
    temperature: Annotated[
        float,
        typer.Option(
            "--temperature", metavar="T",
            help="Above 1 more is dared, below 1 less; 0: the best character is taken, always.",
        ),
        Range(0, 100),
    ] = 1.0,
    rtl: Annotated[
        bool, typer.Option("--rtl", help="Let the simulated Verilog of the folder answer.")
    ] = False,
    seed: SeedOption = 0,
    build_dir: BuildDirOption = None,
    json_file: JsonOption = None,
) -> None:
    """Let a decoder write: every character is drawn from its scores and sent back to it.

    A text ends with the mark of the alphabet, or where its context is full. The integer network
    answers, or with --rtl the Verilog that 'generate --network' wrote, which gives the same texts.
    """
    figures = write(directory, texts, start, temperature, rtl, seed, build_dir)
    write_json(json_file, figures)
    for text in figures["texts"]:
        print(text)


def write(
    folder: Path, count: int = 10, start: str = "", temperature: float = 1.0, rtl: bool = False,
    seed: int = 0, build_dir: Path | None = None,
) -> dict:
    """Write ``count`` texts; returns them and how many characters were sent, JSON-ready."""
    from ecoformer.golden.quantize.writing import Writer, integer_answers

    if not (folder / DESIGN).is_file():
        raise EcoformerError(f"{folder}: no {DESIGN}; write it with 'export --network'")
    design = load_design(folder / DESIGN)
    if not isinstance(design, DecoderDesign):
        raise EcoformerError(f"{folder}: a network for images; give the folder of a decoder")
    _check(folder, design, start, temperature)
    if rtl:
        answer = _rtl(NetworkFolder.load(folder, build_dir))
    else:
        answer = integer_answers(design, NetworkImage.load(folder / PARAMETERS, design))
    scale = design.score_scale / temperature if temperature else 0.0
    writer = Writer(design, answer, scale, seed, as_tokens(design.alphabet, start))
    texts = [as_text(design.alphabet, tokens) for tokens in writer.write(count)]
    return {"texts": texts, "characters": len(writer.rows), "seed": seed, "rtl": rtl}


def _check(folder, design, start, temperature):
    """Whether the design says enough, and the start fits it."""
    if not design.alphabet:
        raise EcoformerError(
            f"{folder}: {DESIGN} has no alphabet, which would say what tokens stand for; add it to "
            "[decoder], or export the network again"
        )
    if temperature and not design.score_scale:
        raise EcoformerError(
            f"{folder}: {DESIGN} has no score_scale, which makes probabilities of scores; export "
            "the network again, or give --temperature 0"
        )
    if strangers := sorted(set(start) - set(design.alphabet)):
        raise EcoformerError(
            f"--start: {name_of(strangers[0])} is not in the alphabet of {folder}; leave it out"
        )
    if len(start) >= design.positions:
        raise EcoformerError(
            f"--start: must be at most {design.positions - 1} characters for this decoder, not "
            f"{len(start)}"
        )


def _rtl(chip):
    """Answers of the compiled Verilog of a folder."""
    from ecoformer.sim.network.compiled import CompiledNetwork
    from ecoformer.sim.network.text import rtl_answers

    if not chip.design.answer_scores:
        raise EcoformerError(
            f"{chip.folder}: [decoder] answer must be 'scores' to write with --rtl, not "
            f"{chip.design.answer!r}; generate it so"
        )
    with show_progress() as progress:
        network = CompiledNetwork.of_verilog(
            chip.design, chip.verilog, chip.build_dir, progress=progress
        )
    return rtl_answers(chip.design, network)
