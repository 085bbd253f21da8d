"""What the verbs share: options, tables, and output that is whole or absent."""

import contextlib
import os
import shutil
import tempfile
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
    "SeedOption", "SimulatorOption", "StallOption", "WorkloadOption", "import_room",
    "refuse_foreign", "show_table", "staged", "write_json",
]  # fmt: skip

ConfigOption = Annotated[
    Path,
    typer.Option("-c", "--config", metavar="CONFIG", help="A preset (k16) or a file (.toml)."),
]
DesignArgument = Annotated[
    Path, typer.Argument(metavar="DIR", help="Folder that 'ecoformer generate' wrote.")
]
WorkloadOption = Annotated[
    Path | None,
    typer.Option("-w", "--workload", metavar="FILE", help="Sequences to stream (.npz)."),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="The same seed, the same bytes.")]
OtherSeedOption = Annotated[
    int | None, typer.Option("--seed", min=0, help="Instead of the configuration's.")
]
RestartOption = Annotated[
    bool, typer.Option("--restart", help="Drop the checkpoints of an interrupted run.")
]
StallOption = Annotated[
    float,
    typer.Option("--stall", metavar="P", help="Probability of a gap or back-pressure per cycle."),
]
SimulatorOption = Annotated[
    str,
    typer.Option("--simulator", metavar="NAME", help="verilator, icarus (knows X) or compiled."),
]
JsonOption = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write the figures as JSON, too.")
]


@dataclass(frozen=True)
class Design:
    """A folder that ``generate`` wrote, read back and checked.

    Parameters
    ----------
    folder : Path
    config : Config
    image : ParameterImage
    verilog : Path
    """

    folder: Path
    config: Config
    image: ParameterImage
    verilog: Path

    @classmethod
    def load(cls, folder):
        """Read the design in ``folder``; raises `EcoformerError` if it is not one."""
        folder = Path(folder)
        if not (folder / "manifest.json").is_file():
            raise EcoformerError(
                f"{folder}: no generated design; run 'ecoformer generate -o {folder}'"
            )
        config = Config.load(folder / "config.toml")
        image = ParameterImage.load(folder / "parameters.safetensors", config)
        found = sorted((folder / "rtl").glob("*.v"))
        if len(found) != 1:
            raise EcoformerError(
                f"{folder / 'rtl'}: {len(found)} Verilog files, not 1; generate again"
            )
        return cls(folder, config, image, found[0])

    def workload(self, path=None):
        """The workload at ``path``, or the one that came with the design."""
        return Workload.load(path or self.folder / "vectors" / "workload.npz", self.config)

    @property
    def build_dir(self):
        """Where simulator builds of this design are kept."""
        return self.folder / "build"


def import_room(module, extra=None):
    """Import a module of another room; a missing package is the user's to install."""
    try:
        return __import__(module, fromlist=["_"])
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] == "ecoformer":
            raise EcoformerError(
                f"{error.name}: not part of this installation; install ecoformer again"
            ) from error
        raise EcoformerError(
            f"Python package {error.name}: not installed; pip install "
            + (f"'ecoformer[{extra}]'" if extra else "ecoformer")
        ) from error


def refuse_foreign(output, *marks):
    """Refuse a folder ``output`` with something in it but none of ``marks``: it is another's."""
    known = any((output / mark).exists() for mark in marks)
    if output.exists() and not known and (not output.is_dir() or any(output.iterdir())):
        raise EcoformerError(
            f"{output}: exists and was not written by this command; choose another -o"
        )


@contextlib.contextmanager
def staged(output, mark):
    """Folder to write into that becomes ``output`` when the block ends well, and vanishes if not.

    Parameters
    ----------
    output : Path
        Replaced if it holds the file ``mark``, that is, if an earlier run wrote it.
    mark : str
        Name of a file that every result of this verb holds.
    """
    output = Path(output).absolute()
    refuse_foreign(output, mark)
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{output.name}-", dir=output.parent))
    try:
        os.chmod(partial, 0o777 & ~_umask())
        yield partial
        old = partial.with_name(partial.name + "-old")
        if output.exists():
            output.rename(old)
        partial.rename(output)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_json(path, figures):
    """Write ``figures`` to ``path`` in one step; None writes nothing."""
    if path is None:
        return
    files.write_json(path, figures)


def show_table(title, rows):
    """Print ``rows`` of (name, value) pairs."""
    table = Table(title=title, show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(str(name), f"{value:,}" if isinstance(value, int) else str(value))
    Console().print(table)


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
