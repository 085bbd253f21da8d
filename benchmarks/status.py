# SPDX-License-Identifier: Apache-2.0
"""Which results are fresh, and which describe code or Verilog that has changed since."""

import argparse
import json
import sys

from benchmarks.results.pages import in_short, render, rendered_pages
from benchmarks.results.records import Records, head

__all__ = ["main", "mark", "status"]


def main(arguments: list[str] | None = None, records: Records | None = None) -> int:
    """Print the state of every section; exit status 1 where ``--check`` finds a wrong mark."""
    parser = argparse.ArgumentParser(prog="benchmarks.status", description=__doc__)
    parser.add_argument("--json", action="store_true", help="for programs, with every reason")
    parser.add_argument("--mark", action="store_true", help="write what is stale into the pages")
    parser.add_argument(
        "--check", action="store_true",
        help="fail where a page and its records differ, or a stale section is not marked",
    )
    options = parser.parse_args(arguments)
    records = records or Records()
    if options.mark:
        mark(records)
    sections = status(records)
    wrong = _wrong(records, sections) if options.check else []
    if options.json:
        print(json.dumps({"sections": sections, "wrong": wrong}, indent=2, ensure_ascii=False))
    else:
        for section in sections:
            why = f": {in_short(section['reasons'])}" if section["reasons"] else ""
            print(f"{section['state']:8}{section['section']}, {section['date']}{why}")
        print(*wrong, sep="\n", end="\n" if wrong else "")
    return bool(wrong)


def status(records: Records) -> list[dict]:
    """State of every section, computed and not as it is marked."""
    sections = []
    for record in records.load():
        reasons = records.reasons(record)
        state = "unknown" if reasons is None else "stale" if reasons else "fresh"
        sections.append({
            "section": f"{record['page']}/{record['name']}", "title": record["title"],
            "date": record["date"], "commit": record["commit"], "command": record["command"],
            "state": state, "reasons": reasons or [], "marked": "stale" in record,
        })
    return sections


def mark(records: Records) -> None:
    """Write into every record whether it is stale and why, and the pages from these."""
    for record in records.load():
        if reasons := records.reasons(record):
            since = record.get("stale", {}).get("since") or head(records.root)
            record["stale"] = {"since": since, "reasons": reasons}
        else:
            record.pop("stale", None)
        records.save(record)
    render(records)


def _wrong(records, sections):
    wrong = [
        f"{s['section']}: {'not marked as stale' if not s['marked'] else 'marked as stale'}, marks "
        "must say what is so; run python -m benchmarks.status --mark"
        for s in sections
        if s["marked"] != (s["state"] == "stale")
    ]
    return wrong + [
        f"{path.relative_to(records.root)}: not what its records say, tables are not edited by "
        "hand; run python -m benchmarks.status --mark"
        for path, text in rendered_pages(records).items()
        if not path.is_file() or path.read_text() != text
    ]


if __name__ == "__main__":
    sys.exit(main())
