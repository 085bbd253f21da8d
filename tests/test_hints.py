# SPDX-License-Identifier: Apache-2.0
"""Every public function and method of the product says the types of its parameters and result."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
PRODUCT = ("ecoformer", "golden", "hw", "sim")
TYPED_BY_AMARANTH = {"elaborate": {"platform"}}
"""Parameters whose meaning another library defines."""


def without_hints(path):
    """Names in ``path`` that lack a hint on a parameter or on the result."""
    for owner in [tree := ast.parse(path.read_text()), *_public(tree, ast.ClassDef)]:
        for function in _public(owner, ast.FunctionDef):
            a = function.args
            parameters = [*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg]
            untyped = {p.arg for p in parameters if p is not None and p.annotation is None}
            if isinstance(owner, ast.ClassDef):
                untyped -= {"self", "cls"} | TYPED_BY_AMARANTH.get(function.name, set())
            if untyped or function.returns is None:
                yield f"{path.relative_to(ROOT)}:{function.lineno} {function.name}"


def _public(owner, kind):
    return [
        node for node in owner.body if isinstance(node, kind) and not node.name.startswith("_")
    ]


def files():
    for top in PRODUCT:
        for path in sorted((ROOT / top).rglob("*.py")):
            if path.name == "__init__.py" or not path.name.startswith("_"):
                yield path


def test_public_functions_have_hints():
    names = [path.relative_to(ROOT).as_posix() for path in files()]
    missing = [
        text
        for name in names
        for text in without_hints(ROOT / name)
    ]
    assert not missing, "\n".join(missing)
