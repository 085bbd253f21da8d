# SPDX-License-Identifier: Apache-2.0
import fcntl
import os
import stat
import threading

import pytest

from ecoformer.files import move_atomic, write_atomic


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "a"
    write_atomic(path, "first")
    write_atomic(path, b"second")
    assert path.read_bytes() == b"second" and os.listdir(tmp_path) == ["a"]


def test_permissions_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomic(tmp_path / "plain", "")
        write_atomic(tmp_path / "program", "", mode=0o777)
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "program")]
    assert modes == [0o640, 0o750]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    write_atomic(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_text() == "new"


def test_a_pipe_is_written_to(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    got = []
    reader = threading.Thread(target=lambda: got.append((tmp_path / "pipe").read_text()))
    reader.start()
    write_atomic(tmp_path / "pipe", "through")
    reader.join(5)
    assert got == ["through"] and stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_what_fails_leaves_nothing(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("old")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError, match="full"):
        write_atomic(tmp_path / "a", "new")
    assert os.listdir(tmp_path) == ["a"] and (tmp_path / "a").read_text() == "old"
    with pytest.raises(OSError):
        write_atomic(tmp_path, "a folder is no file")


def test_what_a_killed_writer_left_is_swept_and_nothing_else(tmp_path):
    mine = [".a.backup", ".b.12345678.ecoformer-partial", "a.ecoformer-partial"]
    dead, held = ".a.00000000.ecoformer-partial", ".a.11111111.ecoformer-partial"
    for name in (*mine, dead, held):
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (0, 0))
    with (tmp_path / held).open() as owner:
        fcntl.flock(owner, fcntl.LOCK_EX)
        write_atomic(tmp_path / "a", "new")
        assert sorted(os.listdir(tmp_path)) == sorted([*mine, held, "a"])


def test_a_large_file_is_moved_whole(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("old")
    (tmp_path / "b").write_text("new")
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
        with pytest.raises(OSError, match="full"):
            move_atomic(tmp_path / "b", tmp_path / "a")
    assert sorted(os.listdir(tmp_path)) == ["a", "b"] and (tmp_path / "a").read_text() == "old"
    move_atomic(tmp_path / "b", tmp_path / "a")
    assert os.listdir(tmp_path) == ["a"] and (tmp_path / "a").read_text() == "new"


@pytest.mark.parametrize("write", [
    lambda path, source: write_atomic(path, "new"), lambda path, source: move_atomic(source, path),
])
def test_a_pipe_is_written_to_and_stays_one(tmp_path, write):
    pipe, source = tmp_path / "pipe", tmp_path / "source"
    os.mkfifo(pipe)
    source.write_text("new")
    (tmp_path / "link").symlink_to("pipe")
    for name in ("pipe", "link"):
        source.write_text("new")
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        write(tmp_path / name, source)
        assert os.read(reader, 100) == b"new" and stat.S_ISFIFO(os.stat(pipe).st_mode)
        os.close(reader)
    assert (tmp_path / "link").is_symlink()
