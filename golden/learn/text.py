# SPDX-License-Identifier: Apache-2.0
"""Text as contexts for decoders to learn: a line each, or cut out of running text."""

import re
import string
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch

from ecoformer.errors import EcoformerError
from ecoformer.golden.learn.data import DataSet, Split
from ecoformer.golden.learn.predictions import IGNORED
from ecoformer.golden.learn.recipe import NAMES, TrainingConfig
from ecoformer.golden.networks.decoder import DecoderConfig
from ecoformer.inputs import read_text
from ecoformer.spec.alphabet import check_alphabet, name_of

__all__ = ["open_text", "whole_text"]

LARGEST = 1 << 27
"""Most bytes of a text."""
HELD_OUT, VALIDATION = 10, 20
"""One of so many contexts is held out; of the others one of so many validates."""
MOST, MOST_SCORES = 10_000, 50_000_000
"""Most contexts of these two parts, and most scores that a network may give them."""
LEAST = 20
"""Fewest contexts of a text."""


def open_text(training: TrainingConfig, shape: DecoderConfig) -> DataSet:
    """The text of ``training`` in three parts, with its alphabet.

    Lines that occur several times count once, so that nothing that is held out is learned from.
    They are the same lines for every seed; which of the others validate depends on it. Of a running
    text, the end is held out, and what is before it validates.

    Parameters
    ----------
    training : TrainingConfig
        Its ``data`` is one of :data:`golden.learn.recipe.TEXTS`.
    shape : DecoderConfig
        Without an alphabet, that of the text is taken, in the order of Unicode.

    Raises
    ------
    EcoformerError
        The text cannot be read, is too short, or does not fit ``shape``; says where and what to do.
    """
    whole, alphabet = _read(training, shape)
    most = min(MOST, max(1, MOST_SCORES // (shape.positions * shape.vocabulary)))
    held_out = min(most, round(len(whole) / HELD_OUT))
    validation = min(most, -(-(len(whole) - held_out) // VALIDATION))
    order = torch.arange(len(whole))
    if training.data != "text":
        order = _shuffled(len(whole), 0).flip(0)
        rest = order[:-held_out]
        order[:-held_out] = rest[_shuffled(len(rest), training.seed)]
    ends = len(whole) - held_out - validation, len(whole) - held_out
    train, validation, held_out = (whole.take(index) for index in order.tensor_split(ends))
    return DataSet(training.data, shape.vocabulary, train, validation, held_out, alphabet)


def whole_text(training: TrainingConfig, shape: DecoderConfig) -> Split:
    """All contexts of a text, to evaluate a network that has not learned from it."""
    return _read(training, shape)[0]


def _shuffled(count, seed):
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))


def _read(training, shape):
    """All contexts of a text, and its alphabet."""
    source = training.data_path or f"data set {training.data}"
    text = _names(shape) if training.data == NAMES else _text(training)
    lines = {number: line for number, line in enumerate(text.split("\n"), 1) if line}
    used = "".join(sorted(set(text) - (set() if training.data == "text" else {"\n"})))
    if not lines:
        raise EcoformerError(f"{source}: an empty text; give another as [training] data_path")
    alphabet = shape.alphabet or used
    try:
        check_alphabet(alphabet, shape.vocabulary)
    except ValueError as error:
        raise EcoformerError(f"{source}: [decoder] {error}; correct the configuration") from error
    if strangers := set(used) - set(alphabet):
        number, found = _first(text.split("\n"), lambda line: set(line + "\n") & strangers)
        raise EcoformerError(
            f"{source}: line {number} holds {name_of(min(found))}, which is not in the alphabet of "
            "the decoder; leave it out, or train with another alphabet"
        )
    if training.data == "text":
        targets = _windows(_codes(alphabet, text), shape.positions)
    else:
        _check_lengths(source, lines, shape.positions)
        targets = _rows(sorted(set(lines.values())), alphabet, shape.positions)
    if len(targets) < LEAST:
        raise EcoformerError(
            f"{source}: {len(targets)} contexts, and a text must have at least {LEAST}; give more"
        )
    return _split(targets, len(alphabet)), alphabet


def _first(lines: Iterable[str], finds: Callable[[str], set]) -> tuple[int, set]:
    """Number of the first line in which something is found, and what."""
    return next((n, found) for n, line in enumerate(lines, 1) if (found := finds(line)))


def _check_lengths(source, lines, positions):
    for number, line in lines.items():
        if len(line) >= positions:
            raise EcoformerError(
                f"{source}: line {number} has {len(line)} characters, and a context of [decoder] "
                f"positions = {positions} holds {positions - 1} and a mark; shorten the line, or "
                "raise positions"
            )


def _rows(lines, alphabet, positions):
    """What is to be predicted, int64 [lines, positions]: characters, and the mark behind them."""
    lengths = np.array([len(line) for line in lines])
    there = np.arange(positions) < lengths[:, None]
    targets = np.full(there.shape, IGNORED)
    targets[there] = _codes(alphabet, "".join(lines))
    targets[np.arange(len(lines)), lengths] = len(alphabet)
    return targets


def _windows(codes, positions):
    """The same of running text, one context after another: int64 [contexts, positions]."""
    targets = np.full((-(-len(codes) // positions), positions), IGNORED)
    targets.reshape(-1)[: len(codes)] = codes
    return targets


def _codes(alphabet, text):
    """Tokens int64 [n] of the characters of ``text``."""
    points = np.frombuffer(text.encode("utf-32-le"), "<u4")
    known = np.frombuffer(alphabet.encode("utf-32-le"), "<u4")
    order = np.argsort(known)
    return order[np.searchsorted(known, points, sorter=order)]


def _split(targets, mark):
    """Contexts whose tokens are what should have been predicted before them."""
    tokens = np.full(targets.shape, mark)
    tokens[:, 1:] = np.where(targets[:, :-1] == IGNORED, mark, targets[:, :-1])
    return Split(torch.from_numpy(tokens), torch.from_numpy(targets))


def _text(training):
    path = training.data_path
    if not path:
        raise EcoformerError(
            f"[training] data_path must name a UTF-8 file with data = {training.data!r}"
        )
    try:
        text = read_text(path, LARGEST)
    except UnicodeDecodeError as error:
        raise EcoformerError(
            f"{path}: not UTF-8 at byte {error.start}; convert the text"
        ) from error
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise EcoformerError(f"{path}: cannot read the text ({why}); give a UTF-8 file") from error
    return re.sub("\r\n?", "\n", text)


def _names(shape):
    """First names and surnames of the package `names`, those that fit into a context."""
    try:
        import names
    except ImportError as error:
        raise EcoformerError(
            f"data set names: the package names is missing ({error}); run 'pip install names'"
        ) from error
    files = sorted(Path(path) for path in names.FILES.values())
    lines = [line for file in files for line in read_text(file, LARGEST).splitlines()]
    firsts = {line.split()[0].lower() for line in lines if line.strip()}
    letters = set(string.ascii_lowercase)
    return "\n".join(sorted(w for w in firsts if len(w) < shape.positions and set(w) <= letters))
