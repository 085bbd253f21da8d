# SPDX-License-Identifier: Apache-2.0
"""What the verbs share: options, generated designs, and tables."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ecoformer import files
from ecoformer.errors import EcoformerError
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.workload import Workload

__all__ = [
    "ConfigOption", "Design", "DesignArgument", "JsonOption", "OtherSeedOption", "RestartOption",
    "SeedOption", "SimulatorOption", "StallOption", "WorkloadOption", "show_table", "write_json",
]

ConfigOption = Annotated[
    Path,
    typer.Option("-c", "--config", metavar="CONFIG", help="Name of a preset, or a .toml file."),
]
DesignArgument = Annotated[
    Path, typer.Argument(metavar="DIR", help="Folder that 'ecoformer generate' wrote.")
]
WorkloadOption = Annotated[
    Path | None,
    typer.Option(
        "-w", "--workload", metavar="FILE", help="Sequences to stream (.npz) [the design's own]."
    ),
]
SeedOption = Annotated[
    int, typer.Option("--seed", min=0, help="Seed of all that is random: same seed, same bytes.")
]
OtherSeedOption = Annotated[
    int | None, typer.Option("--seed", min=0, help="Overrides the seed of the configuration.")
]
RestartOption = Annotated[
    bool, typer.Option("--restart", help="Discard the checkpoints of an interrupted run.")
]
StallOption = Annotated[
    float,
    typer.Option(
        "--stall", metavar="P", help="Probability, per cycle, of an input gap or of back-pressure."
    ),
]
SimulatorOption = Annotated[
    str,
    typer.Option(
        "--simulator", metavar="NAME", help="verilator, icarus (models X) or compiled (fastest)."
    ),
]
JsonOption = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Also write the figures as JSON.")
]


@dataclass(frozen=True)
class Design:
    """A folder that ``generate`` wrote, read back and checked."""

    folder: Path
    config: Config
    image: ParameterImage
    verilog: Path

    @classmethod
    def load(cls, folder: str | Path) -> "Design":
        """Read the design in ``folder``; raises `EcoformerError` if there is none."""
        folder = Path(folder)
        if not (folder / "manifest.json").is_file():
            raise EcoformerError(
                f"{folder}: no generated design; run 'ecoformer generate -o {folder}'"
            )
        config = Config.load(folder / "config.toml")
        image = ParameterImage.load(folder / "parameters.safetensors", config)
        verilog = sorted((folder / "rtl").glob("*.v"))
        if len(verilog) != 1:
            raise EcoformerError(
                f"{folder / 'rtl'}: {len(verilog)} Verilog files, not 1; generate again"
            )
        return cls(folder, config, image, verilog[0])

    def workload(self, path: Path | None = None) -> Workload:
        """The workload at ``path``, or else the design's own."""
        return Workload.load(path or self.folder / "vectors" / "workload.npz", self.config)

    @property
    def build_dir(self) -> Path:
        """Folder in which simulator builds of this design are kept."""
        return self.folder / "build"


def write_json(path: Path | None, figures: object) -> None:
    """Write ``figures`` to the file of ``--json``, if there is one."""
    if path is not None:
        files.write_json(path, figures)


def show_table(title: str, rows: Iterable[tuple[str, object]]) -> None:
    """Print ``rows`` of (name, value) pairs."""
    table = Table(title=title, show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(str(name), f"{value:,}" if isinstance(value, int) else str(value))
    Console().print(table)
