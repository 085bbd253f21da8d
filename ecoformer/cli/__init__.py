"""The command line: one module per verb, each with a function ``command`` and, maybe, ``EPILOG``.

A verb is added by a file of its name in this folder and its place in :data:`VERBS`. The files
import torch, amaranth and cocotb inside their functions only, so every verb starts without what it
does not need.
"""

import importlib
import importlib.util
import sys

import typer

from ecoformer import __version__
from ecoformer.errors import EcoformerError

__all__ = ["main", "make_app", "VERBS"]

VERBS = ("train", "convert", "export", "generate", "simulate", "verify", "synth", "energy",
         "explore", "report", "demo")  # fmt: skip
"""Every verb in the order of the help text; those without a file are left out."""


def make_app():
    """The typer application with every verb that exists."""
    app = typer.Typer(
        name="ecoformer",
        help="Generates, simulates and verifies hardware for EcoFormer attention.",
        epilog="Start with: ecoformer generate --help",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_version)
    for verb in VERBS:
        name = f"{__name__}.{verb}"
        if importlib.util.find_spec(name) is None:
            continue
        module = importlib.import_module(name)
        app.command(verb, epilog=getattr(module, "EPILOG", None))(module.command)
    return app


def main(arguments=None):
    """Run the command line; what a user can mend is one line on stderr and exit code 2."""
    try:
        make_app()(arguments)
    except EcoformerError as error:
        _refuse(error)
    except OSError as error:
        if error.filename is None:
            raise
        _refuse(f"{error.filename}: {error.strerror}; check the path and its permissions")


def _refuse(why):
    print(f"ecoformer: {' '.join(str(why).split())}", file=sys.stderr)
    sys.exit(2)


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
