# SPDX-License-Identifier: Apache-2.0
"""What a section depends on, as digests that ignore prose.

- Python modules: everything a benchmark imports from this repository, found from its source,
  imports inside functions included. Comments, formatting, docstrings, help texts, error messages,
  annotations of functions, import statements and the order of definitions do not count; a module
  that was only renamed counts as the same.
- Data files: TOML by value, C++ and Verilog without comments.
- Engines and networks: the digest of their Verilog that `tests.digests` keeps. A section that names
  its engines does not depend on the code that describes them.
"""

import ast
import hashlib
import json
import re
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

__all__ = ["changes", "closure", "dependencies", "file_digest", "fingerprint", "module_digest"]

OWN = ("benchmarks", "ecoformer", "tests")
IGNORED = {
    "benchmarks", "benchmarks.status", "ecoformer", "ecoformer.cli", "ecoformer.cli.common",
    "ecoformer.errors", "ecoformer.files", "ecoformer.progress", "tests",
}
"""Modules that cannot change a figure: they report, write files, or hold the version."""
DESCRIBES_ENGINES = ("ecoformer.hw", "ecoformer.spec", "benchmarks.engines")
"""What the Verilog of the engines stands for; `ecoformer.hw.synth` does not describe any."""
WHOLE = "ecoformer.sim"
"""Depended on as a whole: simulators run parts of it in processes of their own."""
PROSE = {"epilog", "help", "metavar"}
"""Arguments of calls that are only shown."""


def dependencies(
    root: Path, modules: Iterable[str], engines: Iterable[str] = (), files: Iterable[str] = ()
) -> dict[str, dict[str, str | None]]:
    """Digests of everything that figures depend on, by kind and name.

    Parameters
    ----------
    root : Path
        Of the repository.
    modules : iterable of str
        Where the imports are followed from.
    engines : iterable of str
        Names of `tests.digests`, also of networks.
    files : iterable of str
        Further data files, relative to ``root``.
    """
    names = closure(root, modules)
    files = set(files)
    if any(_inside(name, WHOLE) for name in names):
        folder = _folder(root, WHOLE)
        inside = sorted(path for path in folder.rglob("*") if path.is_file())
        names |= {
            ".".join([WHOLE, *path.relative_to(folder).with_suffix("").parts])
            for path in inside if path.suffix == ".py" and path.stem != "__init__"
        }
        files |= {str(p.relative_to(root)) for p in inside if p.suffix in (".cpp", ".v")}
    if engines := list(engines):
        names = {name for name in names if not _describes_engines(name)}
    return {
        "modules": {name: module_digest(module_path(root, name)) for name in sorted(names)},
        "files": {name: file_digest(root / name) for name in sorted(files)},
        "engines": _engine_digests(root, engines),
    }


def fingerprint(root: Path, modules: Iterable[str]) -> str:
    """One digest of everything that figures of ``modules`` depend on."""
    return _digest(json.dumps(dependencies(root, modules), sort_keys=True))


def changes(before: dict, now: dict) -> list[str]:
    """What differs between two results of `dependencies`, one phrase each."""
    old, new = before["modules"], now["modules"]
    moved = set(old.values()) & set(new.values())  # under its old name or a new one
    phrases = [
        f"Verilog of {name.removeprefix('preset ').removeprefix('measured ')} changed"
        for name in before["engines"] | now["engines"]
        if before["engines"].get(name) != now["engines"].get(name)
    ]
    for name in sorted(old | new):
        if name in old and name in new:
            if old[name] != new[name]:
                phrases.append(f"{name} changed")
        elif name in old and old[name] not in moved:
            phrases.append(f"{name} is gone")
        elif name in new and new[name] not in moved:
            phrases.append(f"{name} is new")
    phrases += [
        f"{name} changed"
        for name in sorted(before["files"] | now["files"])
        if before["files"].get(name) != now["files"].get(name)
    ]
    return phrases


def closure(root: Path, modules: Iterable[str]) -> set[str]:
    """Every module of the repository that ``modules`` import, directly or not, and themselves.

    The ``__init__`` of a package counts only where a name is imported from it.
    """
    reached, waiting = set(), list(modules)
    while waiting:
        name = waiting.pop()
        if name in reached or name in IGNORED or _inside(name, "benchmarks.results"):
            continue
        if name.endswith(".plot"):
            continue
        reached.add(name)
        if path := module_path(root, name):
            waiting += _imports(root, name, path)
    return reached


def module_path(root: Path, name: str) -> Path | None:
    """File of a module of the repository; None if there is none."""
    folder = _folder(root, name)
    for path in (folder.with_suffix(".py"), folder / "__init__.py"):
        if path.is_file():
            return path
    return None


def module_digest(path: Path | None) -> str | None:
    """Digest of what a module defines; None for a module that does not exist."""
    if path is None:
        return None
    return _bare_digest(path.read_text())


@cache
def _bare_digest(text):
    tree = _Bare().visit(ast.parse(text))
    return _digest("\n".join(sorted(ast.unparse(statement) for statement in tree.body)))


def file_digest(path: Path) -> str | None:
    """Digest of a data file without its comments; None for a file that does not exist."""
    if not path.is_file():
        return None
    if path.suffix == ".safetensors":
        return hashlib.sha256(path.read_bytes()).hexdigest()
    text = path.read_text()
    if path.suffix == ".toml":
        text = json.dumps(tomllib.loads(text), sort_keys=True)
    elif path.suffix in (".cpp", ".v"):
        text = " ".join(re.sub(r"//[^\n]*|/\*.*?\*/", " ", text, flags=re.DOTALL).split())
    return _digest(text)


class _Bare(ast.NodeTransformer):
    """Removes what says something only to a reader."""

    def visit_Expr(self, node):
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return None
        return self.generic_visit(node)

    def visit_Import(self, node):
        return None

    visit_ImportFrom = visit_Import

    def visit_Assign(self, node):
        if any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            return None
        return self.generic_visit(node)

    def visit_FunctionDef(self, node):
        node.returns = None
        self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        return node

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node):
        self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        return node

    def visit_arg(self, node):
        node.annotation = None
        return node

    def visit_Call(self, node):
        node.keywords = [keyword for keyword in node.keywords if keyword.arg not in PROSE]
        return self.generic_visit(node)

    def visit_Raise(self, node):
        if isinstance(node.exc, ast.Call):
            node.exc = node.exc.func
        return self.generic_visit(node)


@cache
def _import_statements(text):
    tree = ast.parse(text)
    return [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


def _imports(root, name, path):
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in _import_statements(path.read_text()):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in OWN)
        else:
            source = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                source = ".".join([*parents, *filter(None, [source])])
            if source.split(".")[0] in OWN:
                for alias in node.names:
                    inner = f"{source}.{alias.name}"
                    yield inner if module_path(root, inner) else source


def _folder(root, name):
    """Path of a module without its suffix."""
    for package, folder in _package_folders((root / "pyproject.toml").read_text()).items():
        if _inside(name, package):
            name = folder + name.removeprefix(package)
    return root.joinpath(*name.split("."))


@cache
def _package_folders(text):
    return tomllib.loads(text)["tool"]["setuptools"]["package-dir"]


def _describes_engines(name):
    return not _inside(name, "ecoformer.hw.synth") and any(
        _inside(name, package) for package in DESCRIBES_ENGINES
    )


def _engine_digests(root, engines):
    if not engines:
        return {}
    known = json.loads((root / "tests" / "digests.json").read_text())
    return {name: known.get(name, {}).get("verilog") for name in engines}


def _inside(name, package):
    return name == package or name.startswith(f"{package}.")


def _digest(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]
