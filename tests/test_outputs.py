# SPDX-License-Identifier: Apache-2.0
import json
import os

import pytest

from ecoformer.errors import EcoformerError
from ecoformer.files import write_json
from ecoformer.outputs import OutputFolder, check_file, read_record


def write(path, files, names=()):
    with OutputFolder(path, "manifest.json", names).writing() as folder:
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        (folder / "manifest.json").write_text('{"name": "engine"}')


def tree(path):
    return {
        p.relative_to(path).as_posix(): p.read_text() for p in path.rglob("*") if p.is_file()
    }


def test_a_second_run_replaces_and_removes_its_own_files_only(tmp_path):
    write(tmp_path, {"rtl/a.v": "1", "b.svd": "1", "old/c": "1"})
    (tmp_path / "thesis.txt").write_text("mine")
    (tmp_path / "rtl" / "mine.v").write_text("mine")
    write(tmp_path, {"rtl/a.v": "2", "b.svd": "2"})
    got = tree(tmp_path)
    record = json.loads(got.pop("manifest.json"))
    assert got == {"rtl/a.v": "2", "b.svd": "2", "thesis.txt": "mine", "rtl/mine.v": "mine"}
    assert record["name"] == "engine" and sorted(record["files"]) == ["b.svd", "rtl/a.v"]
    assert not (tmp_path / "old").exists()


@pytest.mark.parametrize(
    "foreign", ["manifest.json", "rtl/a.v", "rtl"], ids=["record", "file", "file for a folder"]
)
def test_a_foreign_file_in_the_way_is_refused_by_name_before_any_work(tmp_path, foreign):
    (tmp_path / foreign).parent.mkdir(exist_ok=True)
    (tmp_path / foreign).write_text("{}")
    before = tree(tmp_path)
    with pytest.raises(EcoformerError, match=f"{foreign}: in the way"):
        OutputFolder(tmp_path, "manifest.json", ["rtl/a.v"])
    assert tree(tmp_path) == before


def test_a_foreign_file_that_nobody_announced_is_refused_before_anything_is_written(tmp_path):
    (tmp_path / "b").write_text("mine")
    with pytest.raises(EcoformerError, match="b: in the way"):
        write(tmp_path, {"a": "1", "b": "1"})
    assert tree(tmp_path) == {"b": "mine"}


def test_a_record_cannot_claim_files_outside_its_folder(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "manifest.json").write_text('{"files": {"../mine": ""}}')
    with pytest.raises(EcoformerError, match="manifest.json: in the way"):
        write(tmp_path / "out", {"a": "1"})
    assert (tmp_path / "mine").read_text() == "mine"


def test_links_and_the_current_folder_work_as_with_any_tool(tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    write(tmp_path / "link", {"a": "1"})
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real" / "a").read_text() == "1"
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    write(".", {"a": "1"})
    assert sorted(os.listdir()) == ["a", "manifest.json"]
    assert sorted(os.listdir(tmp_path)) == ["cwd", "link", "real"]


def test_a_failing_run_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError):
        with OutputFolder(tmp_path / "new" / "out", "manifest.json").writing():
            raise RuntimeError
    assert not os.listdir(tmp_path)


def test_a_full_disk_leaves_nothing_of_a_new_folder_and_names_the_file(tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    replace, count = os.replace, iter(range(100))

    def full(*paths):
        if next(count) == 2:
            raise OSError(28, "No space left on device")
        replace(*paths)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError) as error:
        write(tmp_path / "out", {"a": "1", "rtl/b": "1"})
    assert error.value.filename == str(tmp_path / "out" / "rtl" / "b")
    assert tree(tmp_path) == {"out/mine": "mine"} and not (tmp_path / "out" / "rtl").exists()


def test_an_interrupted_publication_is_known_and_mended_by_the_next_run(tmp_path, monkeypatch):
    write(tmp_path, {"a": "1", "b": "1"})
    with monkeypatch.context() as patch:
        patch.setattr("ecoformer.outputs.write_atomic", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            write(tmp_path, {"a": "2", "c": "2"})
    with pytest.raises(EcoformerError, match="unfinished"):
        read_record(tmp_path, "manifest.json", "generate")
    write(tmp_path, {"a": "3"})
    assert sorted(tree(tmp_path)) == ["a", "manifest.json"]
    assert read_record(tmp_path, "manifest.json", "generate")["name"] == "engine"


def test_what_is_read_is_whole(tmp_path):
    with pytest.raises(EcoformerError, match="nothing that 'ecoformer generate' wrote"):
        read_record(tmp_path, "manifest.json", "generate")
    write(tmp_path, {"a": "1", "b": "1"})
    (tmp_path / "a").write_text("2")
    with pytest.raises(EcoformerError, match="a: changed since"):
        read_record(tmp_path, "manifest.json", "generate", ["a", "b"])
    assert read_record(tmp_path, "manifest.json", "generate", ["b"])["name"] == "engine"
    (tmp_path / "a").unlink()
    with pytest.raises(EcoformerError, match="a: missing"):
        read_record(tmp_path, "manifest.json", "generate", ["a"])
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(EcoformerError, match="manifest.json: damaged"):
        read_record(tmp_path, "manifest.json", "generate")


def test_a_parent_that_is_a_file_is_refused_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EcoformerError, match="file: not a folder"):
        OutputFolder(tmp_path / "file" / "out", "manifest.json")


@pytest.mark.parametrize("name", ["manifest.json", "rtl/a.v"])
def test_a_file_of_somebodys_results_is_no_target(tmp_path, name):
    write(tmp_path / "engine", {"rtl/a.v": "1"})
    with pytest.raises(EcoformerError, match="belongs to the results of .*manifest.json"):
        check_file(tmp_path / "engine" / name)
    check_file(tmp_path / "engine" / "figures.json")
    (tmp_path / "figures.json").write_text('{"files": {"figures.json": 12}}')
    check_file(tmp_path / "figures.json")


def test_figures_that_are_not_finite_still_make_a_record(tmp_path):
    with OutputFolder(tmp_path, "r.json").writing() as folder:
        write_json(folder / "r.json", {"a": [float("nan"), 1.5], "b": (float("inf"),)})
    facts = read_record(tmp_path, "r.json", "train")
    assert facts["a"] == [None, 1.5] and facts["b"] == [None]


def test_what_is_published_early_stays_and_is_replaced_by_the_next_run(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt), OutputFolder(out, "r.json", ["a", "b"]).writing() as f:
        results = OutputFolder(out, "r.json", ["a", "b"])
        (f / "a").write_text("first")
        results.publish_early(f / "a")
        assert (out / "a").read_text() == "first"
        raise KeyboardInterrupt
    assert sorted(path.name for path in out.iterdir()) == ["a", "r.json"]
    assert not json.loads((out / "r.json").read_text())["complete"]
    results = OutputFolder(out, "r.json", ["a", "b"])
    with results.writing() as f:
        (f / "a").write_text("second")
        results.publish_early(f / "a")
        (f / "b").write_text("b")
        (f / "r.json").write_text("{}")
    assert (out / "a").read_text() == "second" and (out / "b").read_text() == "b"
    assert json.loads((out / "r.json").read_text())["files"].keys() == {"a", "b"}

    foreign = OutputFolder(tmp_path / "other", "r.json", ["a"])
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a").write_text("mine")
    with pytest.raises(EcoformerError, match="in the way"), foreign.writing() as f:
        (f / "a").write_text("x")
        foreign.publish_early(f / "a")
    assert (tmp_path / "other" / "a").read_text() == "mine"
