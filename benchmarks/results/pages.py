# SPDX-License-Identifier: Apache-2.0
"""Pages of results: prose by hand, and tables between markers that are made of the records."""

import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks.results.records import Records
from ecoformer.files import write_atomic

__all__ = ["as_markdown", "in_short", "render", "rendered_pages", "state"]

ORDER = (
    "matrix", "fault-scripts", "coverage", "mutants", "proofs", "damage", "kills", "throughput",
    "softmax", "synthesis", "estimate", "boards", "generation", "simulation-speed", "accuracy",
    "conversion", "released", "hashes", "hash-learning", "attention-on-cpu", "energy",
)
"""Pages of the index: is it right, how fast, how large, how accurate, what it saves."""
MARKED = re.compile(r"<!-- section: (\S+) -->\n.*?<!-- end -->\n", re.DOTALL)
SHOWN = 3
"""Reasons why a section is stale."""
INDEX = """# Results

Every figure was measured by the command under its table, on the commit named there. A section is
*stale* when the code or the Verilog that it describes has changed since, and says so; *unknown*
means that it was measured before this was recorded. `make results-status` lists them all.

| subject | in short | measured | state |
|---|---|---|---|
"""


def state(record: dict) -> str:
    """``fresh``, ``stale`` or ``unknown``, as the record is marked."""
    if "stale" in record:
        return "stale"
    return "fresh" if "dependencies" in record else "unknown"


def in_short(reasons: Sequence[str]) -> str:
    """The first reasons why a section is stale, and how many more there are."""
    more = f" and {len(reasons) - SHOWN} more" if len(reasons) > SHOWN else ""
    return "; ".join(reasons[:SHOWN]) + more


def as_markdown(record: dict) -> str:
    """One section: title, table, and what it was measured with."""
    lines = [f"## {record['title']}", ""]
    if "stale" in record:
        since, reasons = record["stale"]["since"], record["stale"]["reasons"]
        lines += [f"> **Stale** since commit {since}: {in_short(reasons)}.", ""]
    elif state(record) == "unknown":
        lines += ["> **Age unknown**: measured before dependencies were recorded.", ""]
    lines += [
        _row(record["header"]), "|" + "---|" * len(record["header"]), *map(_row, record["rows"]),
        "",
    ]
    lines += [f"- {note}" for note in record["notes"]]
    lines += [""] if record["notes"] else []
    facts = [f"`{record['command']}`", record["date"], f"commit {record['commit']}"]
    facts += [f"seed {record['seed']}"] if record["seed"] is not None else []
    facts += [record["conditions"]] if record["conditions"] else []
    facts += [f"{name} {version}" for name, version in record["versions"].items()]
    return "\n".join([*lines, f"{', '.join(facts)}.", ""])


def _row(cells):
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def render(records: Records) -> None:
    """Write every page and the index."""
    for path, text in rendered_pages(records).items():
        write_atomic(path, text)


def rendered_pages(records: Records) -> dict[Path, str]:
    """Text of every page as it should be, by file."""
    pages, rows = {}, []
    names = {record["page"] for record in records.load()}
    for page in sorted(names, key=lambda page: ORDER.index(page) if page in ORDER else len(ORDER)):
        path = records.pages / f"{page}.md"
        sections = {record["name"]: record for record in records.load(page)}
        pages[path] = _filled(path.read_text(), sections)
        shown = [sections[name] for name in MARKED.findall(pages[path]) if name in sections]
        rows.append(_index_row(pages[path], page, shown))
    pages[records.pages / "index.md"] = INDEX + "".join(rows)
    return pages


def _filled(text, sections):
    """``text`` with every section between its markers; one without markers comes last."""
    for name in sorted(sections.keys() - set(MARKED.findall(text))):
        text = text.rstrip("\n") + f"\n\n<!-- section: {name} -->\n<!-- end -->\n"
    return MARKED.sub(
        lambda match: f"<!-- section: {match[1]} -->\n"
        + (as_markdown(sections[match[1]]) if match[1] in sections else "")
        + "<!-- end -->\n",
        text,
    )


def _index_row(text, page, sections):
    title = text.split("\n", 1)[0].removeprefix("# ")
    headline = next((s["headline"] for s in sections if s["headline"]), "")
    dates = sorted({s["date"] for s in sections})
    span = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    states = [state(s) for s in sections]
    worst = next(s for s in ("stale", "unknown", "fresh") if s in states)
    count = states.count(worst)
    shown = worst if count == len(states) else f"{count} of {len(states)} {worst}"
    return f"| [{title}]({page}.md) | {headline} | {span} | {shown} |\n"
