# SPDX-License-Identifier: Apache-2.0
"""Single faults in Python modules, and tests that run with one of them.

Cosmic Ray finds where its operators apply and changes the text. Files are never touched: a process
of its own imports the changed text in place of the module.
"""

import ast
import importlib.abc
import importlib.util
import random
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Mutant", "draw", "import_instead", "passes", "watched"]

PASSED = "passed"
"""What tests answer about a mutant that they do not notice; else the first that failed."""
LEFT_OUT = ("NoOp", "RemoveDecorator")
"""Operators left out: one changes nothing, and the other makes what is called an attribute."""


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One fault.

    Parameters
    ----------
    number : int
        From 1 up.
    module : str
        Its dotted name.
    path : Path
    line : int
    operator : str
        Cosmic Ray's name for the change.
    before, after : str
        The line, stripped.
    text : str
        Of the changed module.
    """

    number: int
    module: str
    path: Path
    line: int
    operator: str
    before: str
    after: str
    text: str

    def __str__(self):
        return f"{self.module}:{self.line}: {self.before} -> {self.after}"


def draw(modules: dict[str, Path], seed: int) -> list[Mutant]:
    """A mutant for every place where an operator applies, annotations of types apart.

    Where several apply, such as `+` that may become any other operator, one is drawn.
    """
    rng, mutants = random.Random(seed), []
    for module, path in modules.items():
        source = path.read_text(encoding="utf-8")
        for (line, _), ways in sorted(_places(source).items()):
            rng.shuffle(ways)
            for name, occurrence in ways:
                text = _changed(source, name, occurrence)
                if _differs(source, text):
                    mutants.append(Mutant(
                        number=len(mutants) + 1, module=module, path=path, line=line,
                        operator=name, before=_line(source, line), after=_line(text, line),
                        text=text,
                    ))
                    break
    return mutants


def _places(source: str) -> dict[tuple[int, int], list[tuple[str, int]]]:
    """Position to the operators that apply there, each with which of its occurrences this is."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator, operator_names

    tree, annotations = get_ast(source), list(_annotations(source))
    places: dict[tuple[int, int], list[tuple[str, int]]] = {}
    for name in operator_names():
        operator = get_operator(name)
        if operator.arguments() or name.rpartition("/")[2] in LEFT_OUT:
            continue
        positions = [
            start for node in ast_nodes(tree)
            for start, _ in operator().mutation_positions(node)
        ]
        for occurrence, start in enumerate(positions):
            if not any(first <= start < last for first, last in annotations):
                places.setdefault(start, []).append((name, occurrence))
    return places


def _changed(source, name, occurrence):
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    return mutate_code(source, get_operator(name)(), occurrence)


def _differs(source, text):
    """Whether a change is one, and Python: `not` before `name := value` is not."""
    try:
        return ast.dump(ast.parse(text)) != ast.dump(ast.parse(source))
    except SyntaxError:
        return False


def _annotations(source: str) -> Iterable[tuple[tuple[int, int], tuple[int, int]]]:
    """Where types are said, from and to: nobody computes with them."""
    for node in ast.walk(ast.parse(source)):
        for name in ("annotation", "returns"):
            if place := getattr(node, name, None):
                yield (
                    (place.lineno, place.col_offset), (place.end_lineno, place.end_col_offset)
                )


def _line(text, number):
    return text.splitlines()[number - 1].strip()


def import_instead(mutant: Mutant) -> None:
    """Let this process import the changed text instead of the module."""
    sys.meta_path.insert(0, _Finder(mutant))


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, mutant):
        self.mutant = mutant

    def find_spec(self, fullname, path=None, target=None):
        if fullname != self.mutant.module:
            return None
        loader = _Loader(self.mutant)
        return importlib.util.spec_from_file_location(
            fullname, self.mutant.path.resolve(), loader=loader
        )


class _Loader(importlib.abc.SourceLoader):
    def __init__(self, mutant):
        self.mutant = mutant

    def get_filename(self, fullname):
        return str(self.mutant.path.resolve())

    def get_data(self, path):
        return self.mutant.text.encode()


def passes(arguments: Sequence[str]) -> str:
    """Run pytest in this process: the first test that fails, or :data:`PASSED`."""
    import pytest

    first = _First()
    status = pytest.main([*arguments, "-x", "-q", "-p", "no:cacheprovider"], plugins=[first])
    return first.found or (PASSED if status == pytest.ExitCode.OK else f"pytest: {status!r}")


class _First:
    found = ""

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.found = self.found or report.nodeid

    pytest_collectreport = pytest_runtest_logreport


def watched(root: Path, folders: dict[str, str]) -> dict[str, Path]:
    """Modules to put faults into, by dotted name.

    Parameters
    ----------
    root : Path
    folders : dict of str to str
        Package to its folder.
    """
    return {
        ".".join([package, *path.relative_to(root / folder).with_suffix("").parts]): path
        for package, folder in folders.items()
        for path in sorted((root / folder).rglob("*.py"))
        if path.name != "__init__.py"
    }
