# SPDX-License-Identifier: Apache-2.0
"""Texts in parts, as contexts of tokens."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from ecoformer.errors import EcoformerError
from ecoformer.golden.learn import text
from ecoformer.golden.learn.predictions import IGNORED
from ecoformer.golden.learn.recipe import TrainingConfig
from ecoformer.golden.learn.sources import open_data, open_held_out
from ecoformer.golden.learn.text import open_text, whole_text
from ecoformer.golden.networks.decoder import DecoderConfig
from ecoformer.golden.networks.vit import NetworkConfig

SHAPE = DecoderConfig(vocabulary=5, positions=4, width=4, heads=1)
WORDS = [a + b + c for a in "abcd" for b in "abcd" for c in ("", "a", "b")]
MARK, NONE = 4, IGNORED


def training_on(path, content, data="lines", **changes):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return TrainingConfig(data=data, data_path=str(path), **changes)


@pytest.fixture
def words(tmp_path):
    return training_on(tmp_path / "words.txt", "\n".join(WORDS * 2) + "\n\n")


def rows(split):
    return {tuple(row) for row in split.labels.tolist()}


def test_a_line_is_a_context_and_ends_with_the_mark(tmp_path):
    lines = ["a", "bd", "abc", *WORDS]
    whole = whole_text(training_on(tmp_path / "t", "\ufeff" + "\r\n".join(lines)), SHAPE)
    order = sorted({*lines})
    at = order.index("abc")
    assert len(whole) == len(order) == len(rows(whole))
    assert whole.images[at].tolist() == [MARK, 0, 1, 2] and whole.images.dtype == torch.int64
    assert whole.labels[at].tolist() == [0, 1, 2, MARK]
    at = order.index("bd")
    assert whole.images[at].tolist() == [MARK, 1, 3, MARK]
    assert whole.labels[at].tolist() == [1, 3, MARK, NONE]


def test_running_text_is_cut_into_contexts(tmp_path):
    shape = replace(SHAPE, vocabulary=6)
    whole = whole_text(training_on(tmp_path / "t", "abcd\nabc" * 10 + "ba", "text"), shape)
    assert len(whole) == 21  # the newline is a character, and the first one of Unicode
    assert whole.images[:2].tolist() == [[5, 1, 2, 3], [5, 0, 1, 2]]
    assert whole.labels[:2].tolist() == [[1, 2, 3, 4], [0, 1, 2, 3]]
    assert whole.images[20].tolist() == [5, 2, 1, 5]
    assert whole.labels[20].tolist() == [2, 1, NONE, NONE]


def test_parts_of_lines_are_apart_and_held_out_lines_the_same_for_every_seed(words):
    data = open_text(words, SHAPE)
    assert (data.unit, data.alphabet, data.classes) == ("contexts", "abcd", 5)
    parts = [data.train, data.validation, data.held_out]
    assert [len(part) for part in parts] == [40, 3, 5]
    assert len(set.union(*map(rows, parts))) == len(WORDS)
    other = open_text(replace(words, seed=1), SHAPE)
    assert rows(other.held_out) == rows(data.held_out)
    assert rows(other.validation) != rows(data.validation)
    assert torch.equal(open_held_out(words, SHAPE).labels, data.held_out.labels)


def test_the_end_of_a_running_text_is_held_out(tmp_path):
    training = training_on(tmp_path / "t", "abcd" * 25 + "ba" * 6, "text")
    data = open_text(training, SHAPE)
    assert [len(part) for part in (data.train, data.validation, data.held_out)] == [23, 2, 3]
    assert rows(data.train) == {(0, 1, 2, 3)} and rows(data.held_out) == {(1, 0, 1, 0)}


def test_large_texts_hold_out_no_more_than_can_be_judged(words, monkeypatch):
    monkeypatch.setattr(text, "MOST_SCORES", 3 * 4 * 5)
    assert len(open_text(words, SHAPE).held_out) == 3
    monkeypatch.setattr(text, "MOST", 2)
    assert len(open_text(words, SHAPE).validation) == 2


def test_an_alphabet_that_is_stated_numbers_the_characters(words):
    data = open_text(words, replace(SHAPE, alphabet="dcba"))
    assert data.alphabet == "dcba"
    assert rows(data.train) == {
        tuple(3 - t if 0 <= t < MARK else t for t in row)
        for row in open_text(words, SHAPE).train.labels.tolist()
    }


def test_names_are_those_of_the_package(tmp_path, monkeypatch):
    letters = "abcdefghijklmnopqrstuvwxyz"
    (tmp_path / "first").write_text("".join(f"{a.upper()}A 0.1 1\n" for a in letters) + "\nLONG")
    (tmp_path / "last").write_text("O'ER 1\nAA 2\nBEN 3\n")
    files = {"last": str(tmp_path / "last"), "first": str(tmp_path / "first")}
    monkeypatch.setitem(sys.modules, "names", SimpleNamespace(FILES=files))
    shape = DecoderConfig(vocabulary=27, positions=4)
    whole = whole_text(TrainingConfig(data="names"), shape)
    assert len(whole) == 27 and (1, 4, 13, 26) in rows(whole)
    monkeypatch.setitem(sys.modules, "names", None)
    with pytest.raises(EcoformerError, match="^data set names: the package names is missing .*pip"):
        whole_text(TrainingConfig(data="names"), shape)


@pytest.mark.parametrize("content, rule", [
    ("", "t: an empty text; give another as"),
    ("\n\n", "t: an empty text"),
    ("ab\ncd\n", "t: 2 contexts, and a text must have at least 20; give more$"),
    ("ab\ncde\n", r"t: \[decoder\] vocabulary must be 6, a token for each of 5 characters and a"),
    ("ab\nc\x07d\n", r"t: \[decoder\] alphabet must hold no control characters but tab and"),
    (b"ab\ncd\xff\n", "t: not UTF-8 at byte 5; convert the text$"),
    ("ab\nabcd\n", r"t: line 2 has 4 characters, and a context of \[decoder\] positions = 4 holds "
     "3 and a mark; shorten the line, or raise positions$"),
])
def test_a_text_that_does_not_fit_is_refused(content, rule, tmp_path):
    with pytest.raises(EcoformerError, match=rule):
        open_text(training_on(tmp_path / "t", content), SHAPE)


def test_characters_outside_of_the_alphabet_are_refused_with_their_line(tmp_path):
    training = training_on(tmp_path / "t", "ab\ncd\nabé\n")
    with pytest.raises(EcoformerError, match=r"t: line 3 holds 'é' \(U\+00E9\), which is not in"):
        open_text(training, replace(SHAPE, alphabet="abcd"))
    # Of a running text newlines are characters, too.
    with pytest.raises(EcoformerError, match=r"t: line 1 holds '\\n' \(U\+000A\), which"):
        open_text(replace(training, data="text"), replace(SHAPE, vocabulary=6, alphabet="abcdé"))


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    for path, rule in {"none": "No such file.*", ".": "not a regular file|Is a directory"}.items():
        with pytest.raises(EcoformerError, match=f"cannot read the text .({rule}).; give a UTF-8"):
            open_text(TrainingConfig(data="lines", data_path=str(tmp_path / path)), SHAPE)
    with pytest.raises(EcoformerError, match=r"data_path must name a UTF-8 file with data = 'text"):
        open_text(TrainingConfig(data="text"), SHAPE)


@pytest.mark.parametrize("changes, rule", [
    ({"data": "mnist"}, "data must be 'names' or 'lines' or 'text' for a .decoder., not 'mnist'"),
    ({"mixup": 0.2}, "mixup, cutmix, crop_area, flip, randaugment and erasing must be left out"),
    ({"flip": 0.5}, "mixup, cutmix, crop_area, flip, randaugment and erasing must be left out"),
    ({"limit_epochs": 1}, "limit_epochs must be left out with data = 'lines'"),
])
def test_what_is_for_images_is_refused(changes, rule, words):
    with pytest.raises(EcoformerError, match=rf"^\[training\] {rule}"):
        open_data(replace(words, **changes), SHAPE)


def test_an_image_network_is_given_no_text(words):
    with pytest.raises(EcoformerError, match=r"data = 'lines' is text, which a \[decoder\] takes"):
        open_data(words, NetworkConfig())
