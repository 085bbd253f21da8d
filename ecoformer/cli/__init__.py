# SPDX-License-Identifier: Apache-2.0
"""The command line: one module per verb, each with a ``command`` and an ``EPILOG`` for its help.

To add a verb, write its module and list it in :data:`VERBS`. Modules of verbs import torch,
Amaranth, cocotb and every optional package inside their functions only: help comes at once, and
each verb starts with what it needs.
"""

import io
import os
import re
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import requires
from typing import Any

import typer
from typer.exceptions import TyperException

from ecoformer import __version__
from ecoformer.cli import (
    board,
    convert,
    demo,
    energy,
    estimate,
    evaluate,
    export,
    generate,
    import_,
    simulate,
    synth,
    train,
    verify,
    write,
)
from ecoformer.cli.ending import Ended, signals_as_exceptions
from ecoformer.cli.guard import guarded
from ecoformer.errors import EcoformerError

__all__ = ["VERBS", "main", "make_app"]

HELP = (
    "Generates, simulates and verifies hardware for EcoFormer attention.\n\n"
    "From a configuration to verified Verilog: generate, verify. Cost: estimate (at once), "
    "simulate (cycles), synth (cells and clock), energy. Onto an FPGA: board. Networks: convert a "
    "pretrained transformer, import a released EcoFormer, or train and export one."
)
EPILOG = (
    "Start here: ecoformer generate -c smallest -o engine\n\n"
    "Every command explains itself: ecoformer COMMAND --help"
)
STREAMS = {"stdin": "r", "stdout": "w", "stderr": "w"}
"""Standard streams by descriptor, and how each is opened."""
VERBS: dict[str, tuple[Any, str]] = {
    "generate": (generate, "From a configuration to Verilog and test vectors."),
    "estimate": (estimate, "Cells, memories and rate, without synthesis."),
    "verify": (verify, "Compare simulated Verilog with the integer model."),
    "simulate": (simulate, "Cycles, utilisation and waveforms."),
    "synth": (synth, "Cells, clock frequency and critical path."),
    "board": (board, "An engine on an FPGA board, down to the bitstream."),
    "energy": (energy, "Operations and energy of whole networks."),
    "convert": (convert, "EcoFormer attention in a pretrained transformer."),
    "import": (import_, "A checkpoint of the released code, ready for hardware."),
    "train": (train, "Train a network with EcoFormer attention, for images or text."),
    "evaluate": (evaluate, "Accuracy and speed: softmax, float, integers, RTL."),
    "export": (export, "Quantise a trained network into parameters."),
    "write": (write, "Let a decoder write text, in integers or RTL."),
    "demo": (demo, "All of it once, on real images."),
}
"""The module of every verb, and what it does."""


def make_app() -> typer.Typer:
    """The typer application with every verb."""
    app = typer.Typer(
        name="ecoformer",
        help=HELP,
        epilog=EPILOG,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # prints brackets, and wraps every paragraph
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_version)
    for verb, (module, summary) in VERBS.items():
        app.command(verb, short_help=summary, epilog=module.EPILOG)(guarded(module.command))
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its status.

    0: done. 1: a comparison failed. 2: it cannot be done, for a reason that is one line on stderr.
    128 + n: ended by signal n, after everything that the command had started.
    """
    _open_what_is_closed()
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without "×" is no reason to stop
    try:
        with signals_as_exceptions():
            status = make_app()(arguments or ["--help"], standalone_mode=False) or 0
        sys.stdout.flush()
    except Ended as end:
        status = 128 + end.number
    except (KeyboardInterrupt, typer.Abort):
        status = 128 + signal.SIGINT
    except TyperException as error:
        status = _refuse(f"{error.format_message().rstrip('.')}. {_hint(error)}")
    except EcoformerError as error:
        status = _refuse(error)
    except ModuleNotFoundError as error:
        extra = _extra_of(error.name)
        if extra is None:
            raise
        status = _refuse(f"Python package {error.name}: not installed; pip install '{extra}'")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing more can be said
        status = _refuse("standard output: closed by its reader before everything was printed")
    except MemoryError:
        status = _refuse("this machine: not enough memory; give smaller input or free memory")
    except OSError as error:
        where = error.filename or "this machine"
        status = _refuse(f"{where}: {error.strerror or error}; check path, permissions and space")
    sys.exit(status)


def _open_what_is_closed():
    """Give standard streams that the caller has closed to the null device.

    Else the next file that is opened, by this process or by a tool that it starts, takes their
    place, and what is printed goes into it.
    """
    for number, (name, mode) in enumerate(STREAMS.items()):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free, this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))


def _hint(error):
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "ecoformer"
    return f"See '{command} --help'."


def _extra_of(module):
    """What to install for ``module``, such as ``ecoformer[learn]``; None if it is not ours.

    The one table is the package's own metadata, that is, ``pyproject.toml``.
    """
    wanted = (module or "").split(".")[0]
    if wanted == "ecoformer":
        return None
    for requirement in requires("ecoformer") or ():
        package = re.match(r"[\w.-]+", requirement)[0]
        if package.replace("-", "_") == wanted:
            extra = re.search(r"extra == ['\"](\w+)['\"]", requirement)
            return f"ecoformer[{extra[1]}]" if extra else "ecoformer"
    return None


def _refuse(why):
    print(f"ecoformer: {' '.join(str(why).split())}", file=sys.stderr)
    return 2


def _show_version(wanted: bool):
    if wanted:
        print(f"ecoformer {__version__}")
        raise typer.Exit


def _version(
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Show the version."
    ),
):
    pass


_version.__doc__ = None
