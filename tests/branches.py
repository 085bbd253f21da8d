# SPDX-License-Identifier: Apache-2.0
"""Counts branches on modes outside their owners: a mode is a class chosen once.

    python -m tests.branches            list every branch, and the number of each package
    python -m tests.branches --limit N  also fail above N

A branch is an ``if``, an ``elif``, a conditional expression or the condition of a comprehension,
in Python or (``m.If``, ``m.Elif``, ``Mux``) while hardware is built, whose test reads a mode:
``config.is_serial``, a variable or attribute that such an expression was assigned to, or a
parameter that it is passed to by keyword. An index that is a comparison, as in
``text[config.tuser_width == 0]``, is a branch too.

Owners may branch:

- ``ecoformer/spec``: it defines the modes and what follows from them;
- a function whose whole body is one choice, ``return A(config) if config.mode else B(config)``:
  that is where the class of a mode is chosen, once.
"""

import argparse
import ast
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Branch", "branches", "count"]

ROOT = Path(__file__).parents[1]
PACKAGES = ("ecoformer", "golden", "hw", "sim")
OWNERS = ("ecoformer/spec",)
MODES = {
    "dataflow", "engines", "error_low", "has_contexts", "has_pairs", "hash", "is_full_rate",
    "is_hashed", "is_serial", "mask", "next_set_depth", "queries", "tkeep", "tuser_width",
    "value_term", "waiting_tokens", "weights",
}
"""Attributes of a configuration that name a mode, or say which one it is."""
HOLDERS = {
    "attention", "c", "capacity", "config", "engine", "flow", "folds", "self", "training",
}
"""Names of what has modes: ``config.hash``, but not ``core.hash``, a module of that name."""
HARDWARE = {"If", "Elif", "Mux"}


@dataclass(frozen=True)
class Branch:
    """A branch on a mode."""

    path: str
    line: int
    modes: tuple[str, ...]


def branches(root: Path = ROOT) -> Iterator[Branch]:
    """Every branch on a mode outside its owners, file by file."""
    trees = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            if not name.startswith(OWNERS):
                trees[name] = ast.parse(path.read_text())
    parameters = set().union(*map(_parameters, trees.values()))
    for name, tree in trees.items():
        arguments = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
        yield from _branches_of(name, tree, parameters & arguments | set(_variables(tree)))


def count(root: Path = ROOT) -> Counter[str]:
    """Number of such branches in each package."""
    return Counter(branch.path.split("/")[0] for branch in branches(root))


def _branches_of(name, tree, aliases):
    choices = {id(node) for node in _choices(tree)}
    for node in ast.walk(tree):
        for test in _tests(node):
            modes = sorted(set(_modes(test, aliases)))
            if modes and id(node) not in choices:
                yield Branch(name, test.lineno, tuple(modes))


def _tests(node):
    """Conditions that decide at ``node``."""
    match node:
        case ast.If() | ast.IfExp() | ast.While():
            yield node.test
        case ast.comprehension():
            yield from node.ifs
        case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name), args=[test, *_]):
            if name in HARDWARE:
                yield test
        case ast.Subscript(slice=ast.Compare() as test):
            yield test


def _modes(test, aliases=frozenset()):
    """Modes that an expression reads."""
    for node in ast.walk(test):
        match node:
            case ast.Attribute(attr=mode, value=ast.Name(id=holder) | ast.Attribute(attr=holder)):
                if mode in MODES and holder in HOLDERS or mode in aliases and holder == "self":
                    yield mode
            case ast.Name(id=name) if name in aliases:
                yield name


def _variables(tree):
    """Names of variables and attributes of ``self`` that hold a mode."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name) | ast.Attribute(attr=name)], value=value):
                if _is_mode(value):
                    yield name


def _parameters(tree):
    """Names of parameters that modes are passed to."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg and _is_mode(node.value):
            yield node.arg


def _is_mode(value):
    """Whether an expression is a mode, or a comparison or combination of modes."""
    kinds = (ast.Attribute, ast.Compare, ast.BoolOp, ast.UnaryOp)
    return isinstance(value, kinds) and any(_modes(value))


def _choices(tree):
    """Conditional expressions that are all that a function does."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            match body:
                case [ast.Return(value=ast.IfExp(body=ast.Call(), orelse=ast.Call()) as choice)]:
                    yield choice


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--limit", type=int, help="fail above this number")
    options = parser.parse_args()
    found = list(branches())
    for branch in found:
        print(f"{branch.path}:{branch.line}: {', '.join(branch.modes)}")
    packages = ", ".join(f"{package} {n}" for package, n in count().items())
    print(f"{len(found)} branches on modes: {packages}")
    return int(options.limit is not None and len(found) > options.limit)


if __name__ == "__main__":
    sys.exit(main())
