# SPDX-License-Identifier: Apache-2.0
"""A host that lets a decoder write."""

import numpy as np

from ecoformer.golden.quantize.writing import Writer, integer_answers
from ecoformer.sim.network.stimulus import random_image
from tests.golden.integer.network.decoders import DECODERS

DESIGN = DECODERS["a block"]  # 11 tokens, 5 positions, 3 contexts
MARK = 10


def scripted(*rows):
    """Answers that let the tokens of ``rows`` follow, one row after another."""
    turns = iter(rows)

    def answer(asked):
        scores = np.zeros((len(asked), DESIGN.vocabulary), dtype=np.int64)
        scores[np.arange(len(asked)), list(next(turns))] = 9
        return scores

    return answer


def test_contexts_take_turns_and_texts_end_by_the_mark_or_when_they_are_full():
    answer = scripted((1, 2, MARK), (3, 4, 5), (MARK, 6, 7), (0, 8, 9), (0, 1, 1))
    writer = Writer(DESIGN, answer, 0)
    for _ in range(5):
        writer.step(3)
    assert writer.texts == [[MARK], [1, 3, MARK], [2, 4, 6, 8, 1]]
    assert writer.rows[:9] == [
        (MARK, 0, True), (MARK, 1, True), (MARK, 2, True),
        (1, 0, False), (2, 1, False), (MARK, 2, True),
        (3, 0, False), (4, 1, False), (5, 2, False),
    ]
    assert writer.rows[9] == (MARK, 0, True)  # the context is begun again
    assert [scores.shape for scores in writer.scores] == [(3, 11)] * 5


def test_as_many_texts_are_written_as_wanted_with_what_they_begin():
    image = random_image(DESIGN, 3)
    writer = Writer(DESIGN, integer_answers(DESIGN, image), 1e-3, start=[7, 2])
    texts = writer.write(5)
    assert len(texts) == 5 and all(text[:2] == [7, 2] for text in texts)
    assert all(len(text) == 5 or text[-1] == MARK for text in texts)
    assert any(text[2] != texts[0][2] for text in texts)
    same = Writer(DESIGN, integer_answers(DESIGN, image), 1e-3, start=[7, 2])
    assert same.write(5) == texts
    other = Writer(DESIGN, integer_answers(DESIGN, image), 1e-3, seed=1, start=[7, 2])
    assert other.write(5) != texts


def test_characters_are_as_likely_as_their_scores_say():
    def answer(rows):
        return np.tile(np.array([8, 5] + [-99] * 9), (len(rows), 1))

    for scale, share in ((1.0, 1 / (1 + np.exp(-3))), (0.1, 1 / (1 + np.exp(-0.3))), (0, 1)):
        writer = Writer(DESIGN, answer, scale)
        tokens = np.concatenate(writer.write(400))
        tokens = tokens[tokens < 2]
        assert abs((tokens == 0).mean() - share) < 0.04
