# SPDX-License-Identifier: Apache-2.0
"""What every verb's parameters must be, checked in one place before the verb begins.

A parameter says what it is behind its option: ``Annotated[int, typer.Option("--jobs"), Range(1,
64)]``. Every number has a `Range`, and every path is a `Source`, a `TargetFile` or a
`TargetFolder`; the tests look for one that is none.
"""

import functools
import inspect
import os
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from typer.models import ArgumentInfo, ParameterInfo

from ecoformer.errors import EcoformerError
from ecoformer.outputs import check_file, check_folder
from ecoformer.spec.checks import check_choice, check_number

__all__ = [
    "Choice", "Range", "Role", "Source", "TargetFile", "TargetFolder", "guarded", "roles",
]


@dataclass(frozen=True)
class Role:
    """What a parameter is."""

    @property
    def help(self) -> str:
        """What the help of the option adds."""
        return ""

    def check(self, name: str, value: Any) -> None:
        """Refuse ``value`` of the option ``name``, with a ValueError or an EcoformerError."""


@dataclass(frozen=True)
class Range(Role):
    """A number from ``low`` to ``high``, both included."""

    low: float
    high: float

    @property
    def help(self) -> str:
        return f" ({self.low:,}…{self.high:,})"

    def check(self, name: str, value: Any) -> None:
        kind = float if isinstance(value, float) else int
        check_number(name, value, kind, self.low, self.high)


@dataclass(frozen=True)
class Choice(Role):
    """One of some words."""

    words: tuple[str, ...]

    def check(self, name: str, value: Any) -> None:
        check_choice(name, value, self.words)


class Source(Role):
    """A file or folder that is read; its reader checks it."""


@dataclass(frozen=True)
class TargetFile(Role):
    """A file that is written; ``suffixes`` are all that are allowed, if there are any."""

    suffixes: tuple[str, ...] = ()


class TargetFolder(Role):
    """A folder that is written into."""

    def check(self, name: str, value: Any) -> None:
        check_folder(value)


def roles(command: Callable[..., Any]) -> dict[str, list[Role]]:
    """The roles of every parameter of a verb, by its name."""
    parameters = inspect.signature(command, eval_str=True).parameters.values()
    return {p.name: [x for x in _metadata(p) if isinstance(x, Role)] for p in parameters}


def guarded(command: Callable[..., Any]) -> Callable[..., Any]:
    """The verb ``command``, with its parameters checked before it begins.

    Raises
    ------
    EcoformerError
        A number out of its range, an unknown word, or a target that cannot be written, that is
        an input, or that is another target; nothing has been written then.
    """
    known = roles(command)
    signature = inspect.signature(command, eval_str=True)
    names = {p.name: _option(p) for p in signature.parameters.values()}

    @functools.wraps(command)
    def run(**values: Any) -> Any:
        given = [
            (role, names[name], value)
            for name, value in values.items() if value is not None
            for role in known[name]
        ]
        for role, name, value in given:
            try:
                role.check(name, value)
            except (TypeError, ValueError) as error:
                raise EcoformerError(f"{error}; correct the command") from error
        _check_files(given)
        return command(**values)

    described = [p.replace(annotation=_described(p)) for p in signature.parameters.values()]
    run.__signature__ = signature.replace(parameters=described)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in described}
    return run


def _check_files(given):
    folders = [value for role, _, value in given if isinstance(role, TargetFolder)]
    taken = [value for role, _, value in given if isinstance(role, Source)]
    for role, name, value in given:
        if isinstance(role, TargetFile):
            check_file(value, role.suffixes, folders)
            for other in taken:
                if os.path.realpath(other) == os.path.realpath(value):
                    raise EcoformerError(
                        f"{value}: {name} would replace another file of this command; choose "
                        "another name"
                    )
            if not Path(value).exists() or Path(value).is_file():  # /dev/null serves several
                taken.append(value)


def _metadata(parameter):
    annotation = parameter.annotation
    return get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()


def _option(parameter):
    """How messages call the parameter; typer has the first of its words as a default."""
    infos = [x for x in _metadata(parameter) if isinstance(x, ParameterInfo)]
    if isinstance(infos[0], ArgumentInfo) and infos[0].metavar:
        return infos[0].metavar
    words = [w for x in infos for w in (x.default, *(x.param_decls or ())) if isinstance(w, str)]
    return max((w for w in words if w.startswith("-")), key=len, default=f"--{parameter.name}")


def _described(parameter):
    """The annotation, with what the roles add to the help."""
    kind, metadata = get_args(parameter.annotation)[0], list(_metadata(parameter))
    added = "".join(x.help for x in metadata if isinstance(x, Role))
    for place, info in enumerate(metadata):
        if isinstance(info, ParameterInfo) and added:
            metadata[place] = copy(info)
            metadata[place].help = f"{info.help or ''}{added}"
    return Annotated[(kind, *metadata)]  # type: ignore[return-value]
