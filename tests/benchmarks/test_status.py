# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from benchmarks.results.pages import rendered_pages
from benchmarks.results.records import Records
from benchmarks.status import main, status


def state(checkout):
    (section,) = status(checkout.records)
    return section["state"], section["reasons"]


def test_what_has_not_changed_is_fresh(checkout):
    checkout.measure()
    checkout.write("ecoformer/limits.py", "# a comment\nLIMIT = 1\n")
    assert state(checkout) == ("fresh", [])
    assert main(["--check"], checkout.records) == 0


@pytest.mark.parametrize(
    "path, text, reason",
    [
        ("ecoformer/limits.py", "LIMIT = 2\n", "ecoformer.limits changed"),
        ("hw/lane.py", "LANES = 5\n", "ecoformer.hw.lane changed"),
        ("benchmarks/speed.py", "import ecoformer.hw.lane, ecoformer.limits\nA = 1\n",
         "benchmarks.speed changed"),
        ("ecoformer/preset.toml", "[engine]\nlanes = 5\n", "ecoformer/preset.toml changed"),
    ],
)
def test_what_has_changed_is_stale(checkout, path, text, reason):
    checkout.measure(files=["ecoformer/preset.toml"])
    checkout.write(path, text)
    assert state(checkout) == ("stale", [reason])


def test_changed_verilog_is_stale_and_its_description_is_not(checkout):
    checkout.measure(engines=["preset k16"])
    checkout.write("hw/lane.py", "LANES = 2 + 2\n")
    assert state(checkout) == ("fresh", [])
    checkout.write("tests/digests.json", json.dumps({"preset k16": {"verilog": "bb"}}))
    assert state(checkout) == ("stale", ["Verilog of k16 changed"])


def test_a_stale_section_must_be_marked_and_a_fresh_one_must_not(checkout, capsys):
    checkout.measure()
    checkout.write("hw/lane.py", "LANES = 5\n")
    assert main(["--check"], checkout.records) == 1
    assert "speed/all: not marked as stale" in capsys.readouterr().out
    assert main(["--mark", "--check"], checkout.records) == 0
    pages = checkout.records.pages
    page, index = ((pages / f"{name}.md").read_text() for name in ("speed", "index"))
    (record,) = checkout.records.load()
    since = record["stale"]["since"]
    assert f"> **Stale** since commit {since}: ecoformer.hw.lane changed." in page
    assert "| stale |" in index
    checkout.write("hw/lane.py", "LANES = 4\n")
    assert main(["--check"], checkout.records) == 1
    assert "speed/all: marked as stale" in capsys.readouterr().out
    assert main(["--mark", "--check"], checkout.records) == 0


def test_measuring_again_removes_the_mark(checkout):
    checkout.measure()
    checkout.write("hw/lane.py", "LANES = 5\n")
    checkout.commit()
    main(["--mark"], checkout.records)
    checkout.measure()
    assert state(checkout) == ("fresh", []) and main(["--check"], checkout.records) == 0


def test_tables_edited_by_hand_are_found(checkout, capsys):
    checkout.measure()
    page = checkout.records.pages / "speed.md"
    page.write_text(page.read_text().replace("| k16 | 3 |", "| k16 | 4 |"))
    assert main(["--check"], checkout.records) == 1
    assert "docs/results/speed.md: not what its records say" in capsys.readouterr().out


def test_programs_read_json(checkout, capsys):
    checkout.measure()
    capsys.readouterr()
    main(["--json"], checkout.records)
    (section,) = json.loads(capsys.readouterr().out)["sections"]
    assert section["section"] == "speed/all" and section["state"] == "fresh"


def test_the_pages_are_what_the_records_say():
    """Whether a section is stale is for ``make results-status``; that tables agree is for tests."""
    for path, text in rendered_pages(Records()).items():
        assert path.read_text() == text, f"{path}: run python -m benchmarks.status --mark"


def test_no_figure_was_measured_with_uncommitted_changes():
    for path in Records().pages.glob("*.md"):
        assert "-dirty" not in path.read_text(), path
