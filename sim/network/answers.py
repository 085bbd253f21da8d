# SPDX-License-Identifier: Apache-2.0
"""What the beats of an answer say, and what they must say."""

import numpy as np

from ecoformer.errors import EcoformerError
from ecoformer.sim.network.record import NetworkRecord
from ecoformer.spec.network.decoder import DecoderDesign
from ecoformer.spec.network.load import Design

__all__ = ["answer_of", "answers_of", "numbers_of"]


def numbers_of(design: Design, words: np.ndarray) -> np.ndarray:
    """Numbers in the beats of an answer, ``words`` int64 [beats, words of 8 bytes]: int64 [n].

    Scores, with what fills the last beat; or the best token.
    """
    if not design.answer_scores:
        return words[:, 0]
    size, count = design.score_bytes, design.answer_scores
    octets = np.ascontiguousarray(words, dtype="<i8").view(np.uint8)
    scores = octets.reshape(len(words), -1)[:, : size * count].reshape(-1, size).astype(np.int64)
    unsigned = (scores << 8 * np.arange(size)).sum(axis=1)
    unused = 64 - 8 * size
    return unsigned << unused >> unused


def answer_of(design: Design, scores: np.ndarray) -> np.ndarray:
    """The numbers by which a network with these ``scores``, int64 [n], must answer: int64 [m]."""
    if not design.answer_scores:
        return np.array([scores.argmax()])
    return np.pad(scores, (0, design.answer_beats * design.answer_scores - len(scores)))


def answers_of(design: DecoderDesign, record: NetworkRecord) -> np.ndarray:
    """What a decoder answered to tokens: scores int64 [n, vocabulary], or the best tokens [n, 1].

    Raises
    ------
    EcoformerError
        One of the tokens was an error.
    """
    bad = record.beats[:, -1] >> 1 & 1
    if bad.any():
        ends = np.cumsum(record.beats[:, -1] & 1)
        raise EcoformerError(f"network: token {ends[bad.argmax()] - 1} is answered by an error")
    numbers = numbers_of(design, record.beats[:, :-1]).reshape(len(record.last_out), -1)
    return numbers[:, : design.vocabulary]
