# SPDX-License-Identifier: Apache-2.0
"""What the verbs share: options, generated designs, and tables."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ecoformer import files
from ecoformer.cli.guard import Choice, Range, Source, TargetFile, TargetFolder
from ecoformer.errors import EcoformerError
from ecoformer.hw.synth.target import ROUTERS
from ecoformer.outputs import read_record
from ecoformer.sim.toolchain import SIMULATORS
from ecoformer.spec.checks import SEEDS
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.wire import STALLS
from ecoformer.spec.workload import Workload

__all__ = [
    "BuildDirOption", "ConfigOption", "DataPathOption", "Design", "DesignArgument", "JsonOption",
    "NamedSimulatorOption", "NetworkOption", "OtherSeedOption", "OutputOption", "RestartOption",
    "RouterOption", "SeedOption", "SimulatorOption", "StallOption", "WorkersOption",
    "WorkloadOption", "make_console", "show_table", "write_json",
]

PIPE_COLUMNS = 200
"""Width of tables where there is no terminal; they are only as wide as what they hold."""

ConfigOption = Annotated[
    Path,
    typer.Option("-c", "--config", metavar="CONFIG", help="Name of a preset, or a .toml file."),
    Source(),
]
OutputOption = Annotated[
    Path, typer.Option("-o", "--output", metavar="DIR", help="Folder to write."), TargetFolder()
]
NetworkOption = Annotated[
    bool,
    typer.Option("--network", help="A whole network: -c and -p are what 'export --network' wrote."),
]
DesignArgument = Annotated[
    Path, typer.Argument(metavar="DIR", help="Folder that 'ecoformer generate' wrote."), Source()
]
WorkloadOption = Annotated[
    Path | None,
    typer.Option(
        "-w", "--workload", metavar="FILE", help="Sequences to stream (.npz) [the design's own]."
    ),
    Source(),
]
SeedOption = Annotated[
    int, typer.Option("--seed", help="Seed of all that is random: same seed, same bytes."),
    Range(*SEEDS),
]
OtherSeedOption = Annotated[
    int | None, typer.Option("--seed", help="Overrides the seed of the configuration."),
    Range(*SEEDS),
]
DataPathOption = Annotated[
    Path | None,
    typer.Option(
        "--data-path", metavar="PATH", help="Overrides data_path of the configuration."
    ),
    Source(),
]
RestartOption = Annotated[
    bool, typer.Option("--restart", help="Discard the checkpoints of an interrupted run.")
]
RouterOption = Annotated[
    str | None,
    typer.Option(
        "--router", metavar="NAME",
        help=f"{' or '.join(ROUTERS)}, which is quicker on a full device [nextpnr's default].",
    ),
    Choice(ROUTERS),
]
WorkersOption = Annotated[
    int,
    typer.Option(
        "--workers", metavar="N", help="Processes that read and augment pictures; 0: none."
    ),
    Range(0, 256),
]
StallOption = Annotated[
    float,
    typer.Option(
        "--stall", metavar="P", help="Probability, per cycle, of an input gap or of back-pressure."
    ),
    Range(*STALLS),
]
NamedSimulatorOption = Annotated[
    str | None,
    typer.Option(
        "--simulator", metavar="NAME",
        help="verilator, icarus (models X) or compiled (fastest) [verilator; of a network, "
        "compiled].",
    ),
    Choice(SIMULATORS),
]
SimulatorOption = Annotated[
    str,
    typer.Option(
        "--simulator", metavar="NAME", help="verilator, icarus (models X) or compiled (fastest)."
    ),
    Choice(SIMULATORS),
]
BuildDirOption = Annotated[
    Path | None,
    typer.Option(
        "--build-dir", metavar="DIR", help="Keep simulator builds here, not in the user's cache."
    ),
    TargetFolder(),
]
JsonOption = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Also write the figures as JSON."),
    TargetFile(),
]


@dataclass(frozen=True)
class Design:
    """A folder that ``generate`` wrote, read back and checked."""

    folder: Path
    config: Config
    image: ParameterImage
    verilog: Path
    builds: Path | None = None

    @classmethod
    def load(cls, folder: str | Path, builds: Path | None = None) -> "Design":
        """Read the design in ``folder``; its Verilog may have been edited, the rest must be whole.

        Raises `EcoformerError` if there is none, or if it is damaged.
        """
        folder = Path(folder)
        whole = ("config.toml", "parameters.safetensors")
        read_record(folder, "manifest.json", "generate", whole)
        config = Config.load(folder / "config.toml")
        image = ParameterImage.load(folder / "parameters.safetensors", config)
        verilog = sorted((folder / "rtl").glob("*.v"))
        if len(verilog) != 1:
            raise EcoformerError(
                f"{folder / 'rtl'}: {len(verilog)} Verilog files, not 1; generate again"
            )
        return cls(folder, config, image, verilog[0], builds)

    def workload(self, path: Path | None = None) -> Workload:
        """The workload at ``path``, or else the design's own."""
        return Workload.load(path or self.folder / "vectors" / "workload.npz", self.config)

    @property
    def fingerprint(self) -> str:
        """Of the configuration."""
        return self.config.fingerprint

    @property
    def build_dir(self) -> Path:
        """Folder of simulator builds, which are kept by content: ``--build-dir``, or the cache."""
        return self.builds or files.cache_folder("builds")


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
    make_console().print(table)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError  # `cli.main` ends the command; rich would exit with status 1


def make_console() -> Console:
    """Console on standard output: names are printed as they are, and a pipe cuts no figure."""
    return _Console(markup=False, width=None if sys.stdout.isatty() else PIPE_COLUMNS)
