# SPDX-License-Identifier: Apache-2.0
"""Configuration files: one table of a TOML file as a checked dataclass."""

import tomllib
from collections.abc import Iterable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar, cast

from ecoformer.errors import EcoformerError
from ecoformer.inputs import read_text
from ecoformer.presets import PRESETS, find_config

__all__ = ["read_table", "read_toml", "TABLES"]

MOST_DOTS = 100
"""In a line, comments apart; the parser's time grows with the square of a key's depth."""

T = TypeVar("T")

TABLES = ("engine", "chip", "decoder", "network", "training", "attention", "convert")
"""Tables a configuration file may hold: an engine, and a whole network in hardware, for images or
for text; a float network and how it is trained; the attention of a converted network and how it is
converted."""


def read_table(path: str | Path, table: str, cls: type[T], **given: Any) -> T:
    """Build the dataclass ``cls`` from one table of a TOML file; an absent table means defaults.

    ``path`` may also name a preset (`ecoformer.presets`). ``given`` are values of ``cls`` that
    another table holds: this one must not repeat them.

    Raises
    ------
    EcoformerError
        Unreadable file, unknown table or key, wrong type or impossible value.
    """
    file, raw = find_config(path), read_toml(path)
    _refuse_unknown(file, "table", raw, TABLES)
    values: dict[str, Any] = raw.get(table, {})
    if not isinstance(values, dict):
        raise EcoformerError(f"{file}: {table} must be a table [{table}], not {values!r}")
    _refuse_unknown(file, f"key in [{table}]", values, [f.name for f in fields(cast(Any, cls))])
    for name in given.keys() & values.keys():
        raise EcoformerError(
            f"{file}: [{table}] {name} is given in another table; give it once, there"
        )
    values = given | {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    needed = [f.name for f in fields(cast(Any, cls)) if _is_needed(f)]
    if missing := [name for name in needed if name not in values]:
        raise EcoformerError(f"{file}: [{table}] lacks {', '.join(missing)}; add what is missing")
    try:
        return cls(**values)
    except (TypeError, ValueError) as error:
        raise EcoformerError(f"{file}: [{table}] {error}") from error


def read_toml(path: str | Path) -> dict[str, Any]:
    """Content of the TOML file, or of the preset, that ``path`` names.

    UTF-8 whatever the locale, with or without a byte order mark.

    Raises
    ------
    EcoformerError
        It cannot be read, or is not TOML.
    """
    file = find_config(path)
    try:
        text = read_text(file)
        if any(line.count(".") > MOST_DOTS for line in text.splitlines() if line[:1] != "#"):
            raise ValueError(f"a line with more than {MOST_DOTS} dots, of a key nested too deeply?")
        return tomllib.loads(text)
    except OSError as error:
        raise EcoformerError(
            f"{file}: cannot read the configuration ({error.strerror}); give a TOML file or a "
            f"preset ({', '.join(PRESETS)}) with -c"
        ) from error
    except (ValueError, RecursionError) as error:  # also: numbers of 5,000 digits, deep nesting
        raise EcoformerError(f"{file}: not a TOML file ({error}); correct it") from error


def _is_needed(field):
    return field.default is MISSING and field.default_factory is MISSING


def _refuse_unknown(file: Path, what: str, given: Iterable[str], known: Iterable[str]) -> None:
    if unknown := sorted(set(given) - set(known)):
        raise EcoformerError(
            f"{file}: unknown {what}: {', '.join(unknown)}; known: {', '.join(known)}"
        )
