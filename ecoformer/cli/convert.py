# SPDX-License-Identifier: Apache-2.0
"""``ecoformer convert``: EcoFormer attention in a pretrained transformer, hashes learned."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ecoformer.cli.common import (
    ConfigOption,
    JsonOption,
    OtherSeedOption,
    RestartOption,
    show_table,
    write_json,
)
from ecoformer.cli.guard import Source, TargetFolder
from ecoformer.cli.quality import quality_panels, show_quality
from ecoformer.errors import EcoformerError
from ecoformer.outputs import OutputFolder
from ecoformer.progress import show_progress
from ecoformer.spec.config import Config
from ecoformer.spec.config_file import read_table, read_toml

__all__ = ["command", "convert"]

EPILOG = (
    "Example: ecoformer convert path/to/all-MiniLM-L6-v2 -d sentences.txt -c minilm "
    "-o converted   In Python: ecoformer.golden.convert.convert.load_converted(FILE, model)"
)
MARK = "convert.json"


def command(
    model: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="A transformers model (config.json and weights)."),
        Source(),
    ],
    config: ConfigOption,
    data: Annotated[
        Path,
        typer.Option(
            "-d", "--data", metavar="FILE",
            help="Calibration: .txt, a sentence per line, or .npz, the model's inputs by name.",
        ),
        Source(),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for the results."),
        TargetFolder(),
    ],
    seed: OtherSeedOption = None,
    restart: RestartOption = False,
    device: Annotated[
        str,
        typer.Option(
            "--device", metavar="NAME",
            help="Where all hashes together and all weights are trained: cpu or cuda.",
        ),
    ] = "cpu",
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only", metavar="PATTERN",
            help="Convert the attention of these modules alone (repeatable; * and ? match).",
        ),
    ] = None,
    skip: Annotated[
        list[str] | None,
        typer.Option(
            "--skip", metavar="PATTERN", help="Leave the attention of these modules as it is.",
        ),
    ] = None,
    engine: Annotated[
        list[Path] | None,
        typer.Option(
            "--engine", metavar="CONFIG",
            help="One more engine, for another kind of attention (repeatable): a preset or .toml.",
        ),
        Source(),
    ] = None,
    report: Annotated[
        bool, typer.Option("--report", help="The hash of every head: a table, and hashes.png.")
    ] = False,
    json_file: JsonOption = None,
) -> None:
    """Replace every softmax attention of a pretrained transformer and learn its hashes.

    No labels are needed, and no other weight changes unless tune_steps says so. The tables
    "attention" and "convert" of the configuration say how. With a table "engine" the network is
    also measured with its attention in integers, and parameters.safetensors and workload.npz, the
    packets of a held-out sample, are written for 'generate'. An interrupted run resumes where it
    stopped.

    An engine computes one kind of attention: self, causal (mask = "causal") or cross (queries =
    "cross"). With engines, attention of other kinds stays as it is; each --engine adds one, and
    what it is given goes into a folder named after its kind. Without any, all kinds are converted.

    Attention that cannot be replaced is an error that names it, unless --only or --skip leaves it.
    """
    figures = convert(
        model, config, data, output, seed=seed, resume=not restart, report=report, device=device,
        only=only or (), skip=skip or (), engines=engine or (),
    )
    write_json(json_file, figures)
    agreement, held_out = figures["agreement"], figures["batches"]["held_out"]
    show_table(f"Attention of {figures['model']}", [
        (site["path"] + (f", use {site['turn'] + 1}" if site["turn"] else ""), _described(site))
        for site in figures["sites"]
    ])
    show_table(f"{figures['model']} in {output}", [
        ("attention layers", len(figures["losses"]["layers"])),
        ("batches, held out", f"{held_out} of {held_out + figures['batches']['train']}"),
        *((f"cosine with the original, {stage}", f"{alike['cosine']:.4f}")
          for stage, alike in agreement.items()),
        ("warnings", sum(len(head["warnings"]) for head in figures["quality"])),
    ])
    if report:
        show_quality(figures["quality"], figures.get("code_disagreement"))


def _described(site):
    """One attention in words."""
    if not site["converted"]:
        return f"left: {site['reason']}"
    grouped = site["key_heads"] not in (0, site["heads"])
    kinds = [
        f"{site['heads']} heads" + (f" on {site['key_heads']}" if grouped else ""),
        *(["causal"] if site["mask"] == "causal" else []), *(["cross"] if site["cross"] else []),
    ]
    return f"converted: {', '.join(kinds)}"


def _read_engine(path: Path) -> Config:
    """The engine of an option --engine."""
    if "engine" not in read_toml(path):
        raise EcoformerError(f"{path}: no table [engine]; give the configuration of an engine")
    return Config.load(path)


def convert(
    model_path: Path,
    config_path: Path,
    data: Path,
    output: Path,
    *,
    seed: int | None = None,
    resume: bool = True,
    report: bool = False,
    device: str = "cpu",
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    engines: Sequence[Path] = (),
) -> dict:
    """Convert as the configuration says; returns the figures."""
    import transformers  # noqa: F401  missing is said before torch is loaded

    from ecoformer.golden.attention_config import read_attention
    from ecoformer.golden.convert.foreign import load_pretrained
    from ecoformer.golden.convert.hardware import make_targets
    from ecoformer.golden.convert.pretrained import (
        check_device,
        convert_pretrained,
        read_batches,
    )
    from ecoformer.golden.convert.recipe import ConvertConfig
    from ecoformer.golden.kinds import KINDS

    if report:
        from ecoformer.golden.quality.plot import save_heat_maps
    attention, engine = read_attention(config_path, kinds=tuple(KINDS))
    others = [_read_engine(path) for path in engines]
    files = [name for target in make_targets(engine, others) for name in target.files]
    config = read_table(config_path, "convert", ConvertConfig)
    if seed is not None:
        config = replace(config, seed=seed)
    check_device(device)
    checkpoints = Path(output) / "checkpoints"
    names = ["converted.pt", *files, *(["hashes.png"] if report else [])]
    results = OutputFolder(output, MARK, names)
    model = load_pretrained(model_path)
    batches = read_batches(data, model_path, config)
    with results.writing() as folder:
        with show_progress() as progress:
            figures = convert_pretrained(
                model, batches, attention, config, folder, checkpoints, engine, progress, device,
                resume, only, skip, others,
            )
        if report:
            panels = quality_panels(figures["quality"], figures.get("code_disagreement"))
            save_heat_maps(folder / "hashes.png", panels, f"Hashes of {figures['model']}")
        write_json(folder / MARK, figures)
    return figures
