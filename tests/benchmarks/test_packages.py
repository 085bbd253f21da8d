# SPDX-License-Identifier: Apache-2.0
import zipfile

import pytest

from benchmarks import packages


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(packages, "CACHE", tmp_path)
    return tmp_path


def wheel(into, content):
    with zipfile.ZipFile(into / "thing-1.whl", "w") as file:
        file.writestr("thing.txt", content)


def test_a_package_is_there_whole_or_not_at_all(cache):
    def stops(into):
        wheel(into, "half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        packages._unpacked(cache / "thing-1", stops)
    assert not [*cache.iterdir()]
    folder = packages._unpacked(cache / "thing-1", lambda into: wheel(into, "whole"))
    assert (folder / "thing.txt").read_text() == "whole"
    assert [*cache.iterdir()] == [folder]


def test_the_first_of_two_that_fetch_a_package_wins(cache):
    def second(into):
        packages._unpacked(cache / "thing-1", lambda into: wheel(into, "first"))
        wheel(into, "second")

    folder = packages._unpacked(cache / "thing-1", second)
    assert (folder / "thing.txt").read_text() == "first"
    assert [*cache.iterdir()] == [folder]
