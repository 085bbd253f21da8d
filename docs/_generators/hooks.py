# SPDX-License-Identifier: Apache-2.0
"""MkDocs hooks: pages made from code, figures drawn into pages, and files of the repository's top.

``make docs`` runs them; nothing that they make is kept in the repository.
"""

from __future__ import annotations

import re

from diagrams import DIAGRAMS
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File
from reference import PAGES
from sources import ROOT, package_tree
from waveforms import WAVEFORMS

FIGURES = {**DIAGRAMS, **WAVEFORMS}
TOP = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
"""Pages that are files at the top of the repository."""
FIGURE = re.compile(r"^<!-- figure: (\S+) -->$", re.MULTILINE)
ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):(?=<code>)")
DOCS_LINK = re.compile(r"\]\(docs/([^)]+)\)")
FILE_LINK = re.compile(r"\[([^\]]+)\]\((?!https?:|#|mailto:)(?![^)]*\.md)[^)]+\)")


@event_priority(100)  # before mkdocstrings reads its options
def on_config(config):
    """Let mkdocstrings see the installed layout, and put every page of results into the nav."""
    handler = config.plugins["mkdocstrings"].config.handlers["python"]
    handler["paths"] = [str(package_tree())]
    config.nav = [_expand(entry) for entry in config.nav]
    return config


def on_files(files, config):
    """Add the pages that are made from code and those from the top of the repository."""
    for path, make in PAGES.items():
        files.append(File.generated(config, path, content=make()))
    for path, name in TOP.items():
        if (ROOT / name).is_file():
            files.append(File.generated(config, path, content=_from_top((ROOT / name).read_text())))
    return files


def on_page_markdown(markdown, **_):
    """Draw figures where a page names them."""
    return FIGURE.sub(lambda match: _figure(match[1]), markdown)


def on_page_content(html, **_):
    """Docstrings name things with Sphinx roles, which Markdown does not know."""
    return ROLE.sub("", html)


def _expand(entry):
    """A section whose pages are a pattern, with those pages; others as they are."""
    (title, pages), = entry.items()
    if isinstance(pages, str) and "*" in pages:
        found = sorted(path.relative_to(ROOT / "docs") for path in (ROOT / "docs").glob(pages))
        found.sort(key=lambda path: path.name != "index.md")
        return {title: [str(path) for path in found]}
    return entry


def _from_top(text):
    """Links into docs/ are links between pages; other files of the repository are named only."""
    return FILE_LINK.sub(r"\1", DOCS_LINK.sub(r"](\1)", text))


def _figure(name):
    drawing = FIGURES[name]()
    picture = drawing.render().replace("\n", "")
    return f'<figure class="drawing" markdown="0"><div>{picture}</div></figure>'
