# SPDX-License-Identifier: Apache-2.0
"""Reference pages that are made from the code they describe."""

from __future__ import annotations

import json
import re
import tomllib
from itertools import takewhile

import typer
from sources import fields_of

from ecoformer.cli import make_app
from ecoformer.presets import PRESETS, find_config
from ecoformer.spec.config import Config
from ecoformer.spec.registers import REGISTERS

__all__ = ["PAGES"]

TABLES = (
    ("`[engine]`", "Config",
     "The hardware. Every field has a default, so an empty table is an engine."),
    ("`[network]`", "NetworkConfig",
     "The vision transformer that `ecoformer train` trains."),
    ("`[network]`, with a `family`", "PyramidConfig", "A PVTv2 or Twins-SVT instead."),
    ("`[training]`", "TrainingConfig", "How `ecoformer train` trains it."),
    ("`[attention]`", "AttentionConfig",
     "The attention that replaces softmax. What `[engine]` has too (`code_bits`, `hash`, "
     "`weights`, `anchors`, `value_term`) is given there, and here only in a file without "
     "`[engine]`."),
    ("`[convert]`", "ConvertConfig",
     "How `ecoformer convert` learns its hash functions."),
)


def configuration() -> str:
    """Every table of a configuration file, field by field."""
    lines = [
        "# Configuration file", "",
        "One TOML file describes everything. Each command reads the tables it needs; a missing "
        "table or key means the defaults. An unknown table or key, a value of the wrong type and "
        "an impossible combination are refused, with the rule.", "",
        "Wherever a command takes `-c`, give a file or the name of a preset.", "",
        "| preset | |", "|---|---|",
        *(f"| `{name}` | {_comment(name)} |" for name in PRESETS), "",
    ]
    for heading, cls, text in TABLES:
        lines += [f"## {heading}", "", text, "", "| field | default | |", "|---|---|---|"]
        rows: list[tuple[list[str], list[str], str]] = []
        known = tomllib.loads(Config().as_toml())["engine"] if cls == "Config" else {}
        for name, _, default, description in fields_of(cls):
            if name in known:
                default = json.dumps(known[name])
                description += _values(name, description)
            if rows and rows[-1][2] == description:
                rows[-1][0].append(name)
                rows[-1][1].append(default)
            else:
                rows.append(([name], [default], description))
        for names, defaults, description in rows:
            shown = defaults[:1] if len(set(defaults)) == 1 else defaults
            shown = _codes(map(_toml, shown))
            lines.append(f"| {_codes(names)} | {shown} | {_prose(description)} |")
        lines.append("")
    return "\n".join(lines)


def commands() -> str:
    """Every command of the command line, from its own help."""
    app = typer.main.get_command(make_app())
    lines = ["# Command line", "", _prose(app.help or ""), "",
             "Errors that you can correct are one line on standard error and exit code 2; "
             "`verify` and `synth --verify` exit with 1 where bits differ. A command that signal n "
             "ends exits with 128 + n, and takes its simulators and builds with it.", "",
             "A folder given with `-o` may hold other files. A command replaces and removes only "
             "what an earlier run of it wrote, which its record in that folder lists; another file "
             "in the way is refused by name before any work.", ""]
    for verb, command in app.commands.items():
        help_text = (command.help or "").strip()
        context = command.make_context(verb, [], resilient_parsing=True)
        usage = " ".join(command.collect_usage_pieces(context))
        lines += [f"## `ecoformer {verb}`", "", _prose(help_text, keep=True), "",
                  "```text", f"ecoformer {verb} {usage}", "```", "",
                  "| option | |", "|---|---|"]
        for parameter in command.params:
            record = parameter.get_help_record(context)
            if record is None:  # an argument
                record = parameter.human_readable_name, getattr(parameter, "help", "") or ""
            name, text = record
            lines.append(f"| `{name}` | {_prose(text)} |")
        lines.append("")
    return "\n".join(lines)


ALTERNATIVES = {
    "`mask = \"causal\"`": Config(mask="causal"),
    "`tuser_width = 0`": Config(tuser_width=0),
    "`next_set_depth` above 0": Config(tuser_width=0, next_set_depth=1),
    "`engines` above 1": Config(engines=2, bus_bytes=16),
    "`tkeep = true`": Config(tkeep=True),
    "`error_low = true`": Config(error_low=True),
    "`queries = \"cross\"`": Config(queries="cross"),
}
"""Engines with registers and fields that the default has not, by what they are chosen with."""


def registers() -> str:
    """The register map of every engine."""
    lines = [
        "# Register map", "",
        "The registers behind `s_axil`: 32-bit words at byte offsets. `generate` writes the map of "
        "your engine, with its constants, as a C header, CMSIS-SVD, JSON and Markdown. How to use "
        "the registers is in the [integration guide](../integration.md).", "",
        "| offset | register | access | |", "|---|---|---|---|",
    ]
    for register in REGISTERS.values():
        lines.append(f"| `0x{register.offset:02X}` | `{register.name}` | {register.access.value} | "
                     f"{_prose(register.text)}{_condition(register)} |")
    lines += ["", "## Fields", "", "| register | bits | field | |", "|---|---|---|---|"]
    for register in REGISTERS.values():
        for field in register.fields:
            bits = f"{field.high}:{field.low}" if field.width > 1 else f"{field.low}"
            values = (field.values or {}).items()
            values = ", ".join(f"{number} `{name}`" for name, number in values)
            text = _prose(f"{field.text}: {values}" if values else field.text)
            lines.append(
                f"| `{register.name}` | {bits} | `{field.name}` | {text}{_condition(field)} |"
            )
    return "\n".join([*lines, ""])


def _condition(what):
    """Which engines have a register or a field, if not all."""
    if what.exists(Config()):
        return ""
    choice = next(name for name, config in ALTERNATIVES.items() if what.exists(config))
    return f"; only with {choice}"


def _values(name, description):
    """The values of a choice, if its description names none of them."""
    fields = {field.name.lower(): field.values for field in REGISTERS["METHOD"].fields}
    values = list(fields.get(name) or ())
    if not values or any(f"``{value}``" in description for value in values):
        return ""
    return " One of " + ", ".join(f"``{value}``" for value in values) + "."


def _comment(preset):
    """The comment at the top of a preset."""
    text = find_config(preset).read_text().splitlines()
    lines = takewhile(lambda line: line.startswith("#"), text)
    return _prose(" ".join(line.lstrip("# ") for line in lines))


def _toml(default):
    """A Python default as TOML would have it."""
    if default in ("", "None"):
        return "–"
    text = default.replace("'", '"').replace("True", "true").replace("False", "false")
    return re.sub(r"^\((.*?),?\)$", r"[\1]", text)


def _codes(names):
    return ", ".join("–" if name == "–" else f"`{name}`" for name in names)


def _prose(text, keep=False):
    """reStructuredText of a docstring as Markdown, in a table cell unless ``keep``."""
    text = re.sub(r":\w+:`~?(?:\w+\.)*(\w+)`", r"`\1`", text)
    text = text.replace("``", "`")
    if keep:
        return re.sub(r"\n +", "\n", text)
    return " ".join(text.replace("|", "\\|").split())


PAGES = {
    "reference/configuration.md": configuration,
    "reference/command-line.md": commands,
    "reference/registers.md": registers,
}
"""Page → function that writes its Markdown."""
