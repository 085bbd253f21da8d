# SPDX-License-Identifier: Apache-2.0
"""Statements and branches of the Python code that ``make test`` exercises.

Coverage counts them in the tests and in every process that they start. What is not covered is
listed, file by file.
"""

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from benchmarks.results.records import ROOT
from benchmarks.results.section import arguments, begin

__all__ = ["main", "rooms"]

PACKAGES = ("ecoformer", "golden", "hw", "sim")
FOLDER = ROOT / "build" / "python-coverage"
SETTINGS = """\
[run]
branch = true
parallel = true
data_file = {folder}/data
source = {sources}
patch = _exit, fork, subprocess
sigterm = true
disable_warnings = no-data-collected, module-not-imported
[report]
exclude_also =
    raise NotImplementedError
    if TYPE_CHECKING:
    class .*\\(Protocol.*\\):
    if __name__ == "__main__":
"""
DEPTH = 2
"""Folders of a room's name."""


def main() -> int:
    parser = arguments(__doc__, seed=None)
    parser.add_argument("--workers", type=int, default=1, help="tests at the same time")
    parser.add_argument("--tests", nargs="*", default=[], help="only some, which is for trials")
    run = begin(parser)
    options = run.options
    status = _test(options.tests, options.workers)
    files = _report()
    rows = [[f"`{room}`", *shares] for room, *shares in rooms(files)]
    for path, file in files.items():
        branches = [f"{a}→{'end' if b < 0 else b}" for a, b in file["missing_branches"]]
        if file["missing_lines"] or branches:
            print(f"{path}: lines {_ranges(file['missing_lines'])}; branches {', '.join(branches)}")
    if status:
        print(f"tests end with status {status}", file=sys.stderr)
        return 1
    run.write_section(
        "coverage", "python", "What the tests exercise",
        ["room", "files", "statements", "branches"], rows,
        headline=f"Python: {rows[-1][2].split()[0]} of statements, {rows[-1][3].split()[0]} of "
        "branches",
        tools=("coverage", "pytest"), modules=["ecoformer.cli"],
    )
    return 0


def rooms(files: dict[str, dict]) -> list[tuple]:
    """Shares by room, and of all: name, files, statements, branches.

    Parameters
    ----------
    files : dict
        By path, those of a JSON report of Coverage.
    """
    groups = defaultdict(list)
    for path, file in files.items():
        groups["/".join(Path(path).parent.parts[:DEPTH])].append(file["summary"])
    groups = {name: groups[name] for name in sorted(groups)}
    groups["all"] = [summary for summaries in list(groups.values()) for summary in summaries]
    return [
        (name, len(found), _share(found, "statements", "lines"),
         _share(found, "branches", "branches"))
        for name, found in groups.items()
    ]


def _share(summaries, things, covered):
    every = sum(summary[f"num_{things}"] for summary in summaries)
    hit = sum(summary[f"covered_{covered}"] for summary in summaries)
    return f"{hit / every:.1%} of {every:,}" if every else "–"


def _test(tests, workers):
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("data*"):
        old.unlink()
    settings = FOLDER / "coveragerc"
    sources = ", ".join(str(ROOT / name) for name in PACKAGES)
    settings.write_text(SETTINGS.format(folder=FOLDER, sources=sources), encoding="utf-8")
    command = ["coverage", "run", f"--rcfile={settings}", "-m", "pytest", "-q", *tests]
    command += ["-n", str(workers), "--dist", "worksteal"]
    return subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=False).returncode


def _report() -> dict[str, dict]:
    """What was counted, by path."""
    settings, report = f"--rcfile={FOLDER / 'coveragerc'}", FOLDER / "report.json"
    for command in (["combine", settings], ["json", settings, "-o", str(report)]):
        subprocess.run(
            [sys.executable, "-m", "coverage", *command], cwd=ROOT, check=True,
            stdout=subprocess.DEVNULL,
        )
    return {
        os.path.relpath(ROOT / path, ROOT): file
        for path, file in json.loads(report.read_text(encoding="utf-8"))["files"].items()
    }


def _ranges(numbers):
    """``[1, 2, 3, 7]`` as ``1-3, 7``."""
    found: list[list[int]] = []
    for number in numbers:
        if found and found[-1][-1] == number - 1:
            found[-1] = [found[-1][0], number]
        else:
            found.append([number])
    return ", ".join("-".join(map(str, part)) for part in found) or "–"


if __name__ == "__main__":
    sys.exit(main())
