# SPDX-License-Identifier: Apache-2.0
import json

import pytest


def test_a_section_is_recorded_with_what_it_was_measured_on(checkout):
    checkout.measure(engines=["preset k16"], files=["ecoformer/preset.toml"], tools=["numpy"])
    (record,) = checkout.records.load()
    assert record["command"] == "python -m benchmarks.speed --fast"
    assert record["rows"] == [["k16", "3"]] and record["seed"] == 0
    assert set(record["versions"]) == {"Python", "numpy"}
    assert set(record["dependencies"]["modules"]) == {"benchmarks.speed", "ecoformer.limits"}
    assert set(record["dependencies"]["files"]) == {"ecoformer/preset.toml"}
    assert record["dependencies"]["engines"] == {"preset k16": "aa"}
    page = (checkout.records.pages / "speed.md").read_text()
    assert page.startswith("# Speed\n\nHow fast.\n\n<!-- section: all -->\n## All engines\n")
    assert "| k16 | 3 |" in page and f"commit {record['commit']}, seed 0, Python" in page
    index = (checkout.records.pages / "index.md").read_text()
    assert "| [Speed](speed.md) | k16: 3 |" in index and "| fresh |" in index


def test_a_record_has_a_line_for_every_row(checkout):
    checkout.measure([("a", 1), ("b", 2)])
    text = (checkout.records.folder / "speed" / "all.json").read_text()
    assert '    ["a", "1"],\n    ["b", "2"]\n' in text and json.loads(text)


def test_prose_around_the_markers_stays(checkout):
    checkout.measure()
    page = checkout.records.pages / "speed.md"
    page.write_text(page.read_text().replace("How fast.", "Faster.") + "\nThe end.\n")
    checkout.commit()
    checkout.measure([("k16", 4)])
    text = page.read_text()
    assert "Faster." in text and "| k16 | 4 |" in text and "| k16 | 3 |" not in text
    assert text.endswith("<!-- end -->\n\nThe end.\n")


@pytest.mark.parametrize("row", [("k16",), ("k16", 3, "one more")])
def test_rows_are_as_long_as_the_header(checkout, row):
    match = f"rows must have 2 cells like the header, not {len(row)}: .* kept in .*all.json"
    with pytest.raises(SystemExit, match=match):
        checkout.measure([("k16", 3), row])
    assert not checkout.records.load()


def test_every_page_has_prose(checkout):
    (checkout.records.pages / "speed.md").unlink()
    checkout.commit()
    with pytest.raises(SystemExit, match="speed.md is missing, every page says what is measured"):
        checkout.measure()


def test_what_is_depended_on_exists(checkout):
    with pytest.raises(SystemExit, match="preset k17 is none of the engines"):
        checkout.measure(engines=["preset k17"])
    with pytest.raises(SystemExit, match="gone.toml is none of the files"):
        checkout.measure(files=["gone.toml"])
    assert not checkout.records.load()


@pytest.mark.parametrize("path", ["hw/lane.py", "hw/not_added.py"])
def test_uncommitted_changes_are_refused_before_measuring(checkout, path):
    checkout.write(path, "LANES = 5\n")
    with pytest.raises(SystemExit, match=f"uncommitted changes .{path}.*--dry-run"):
        checkout.measurement()
    checkout.measurement(dry_run=True)


def test_changes_while_measuring_are_refused_and_the_figures_kept(checkout):
    run = checkout.measurement()
    checkout.write("hw/lane.py", "LANES = 5\n")
    match = "hw/lane.py changed while measuring, .* kept in .*all.json"
    with pytest.raises(SystemExit, match=match):
        run.write_section("speed", "all", "All", ["engine", "speed"], [("k16", 3)])
    assert not checkout.records.load()
    assert (checkout.root / "build" / "unpublished" / "speed" / "all.json").exists()


def test_another_commit_while_measuring_is_refused(checkout):
    run = checkout.measurement()
    checkout.write("hw/lane.py", "LANES = 5\n")
    checkout.commit()
    with pytest.raises(SystemExit, match="another commit was checked out"):
        run.write_section("speed", "all", "All", ["engine", "speed"], [("k16", 3)])


def test_sections_written_before_do_not_make_the_tree_dirty(checkout):
    run = checkout.measurement()
    for name in ("one", "two"):
        run.write_section("speed", name, name, ["engine", "speed"], [("k16", 3)])
    assert len(checkout.records.load()) == 2


def test_a_dry_run_records_nothing(checkout, capsys):
    run = checkout.measurement(dry_run=True)
    run.write_section("speed", "all", "All", ["engine", "speed"], [("k16", 3)])
    assert "| k16 | 3 |" in capsys.readouterr().err and not checkout.records.load()
