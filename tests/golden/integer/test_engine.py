# SPDX-License-Identifier: Apache-2.0
"""The integer model as an engine: workloads of any kind, and contexts from one to the next."""

from dataclasses import replace

import numpy as np
import pytest

from ecoformer.golden.integer.attention import attend
from ecoformer.golden.integer.engine import IntegerEngine
from ecoformer.spec.config import Config
from ecoformer.spec.workload import Workload

CAUSAL = Config(
    head_dim=4, value_dim=3, code_bits=6, hash="codes", mask="causal", contexts=3, max_tokens=16,
    parameter_sets=2, cycles_per_token=4, queries="separate", bus_bytes=8,
)
CROSS = replace(CAUSAL, mask="full", contexts=1, queries="cross")


def image():
    from ecoformer.sim.stimulus import random_image

    return random_image(CAUSAL, np.random.default_rng(0))


def sequence(rng, tokens, index, elements=12):
    codes = rng.choice([-1, 1], (tokens, elements))
    return index, codes, rng.integers(-128, 128, (tokens, 3))


def as_workload(sequences, contexts, begins):
    return Workload.from_sequences(
        sequences, contexts=np.array(contexts), begins=np.array(begins)
    )


@pytest.mark.parametrize("split", [False, True])
def test_pieces_of_contexts_are_answered_as_the_whole(split):
    rng = np.random.default_rng(1)
    whole = [sequence(rng, 9, n % 2) for n in range(3)]
    pieces, contexts, begins = [], [], []
    for start, end in ((0, 4), (4, 5), (5, 9)):  # in turn, and one context twice in a row
        for context, (index, tokens, values) in enumerate(whole):
            pieces.append((index, tokens[start:end], values[start:end]))
            contexts.append(context)
            begins.append(int(start == 0))
    engine, parts = IntegerEngine(CAUSAL, image()), []
    for cut in np.array_split(np.arange(9), 3 if split else 1):
        parts += engine.attend(as_workload(
            [pieces[i] for i in cut], [contexts[i] for i in cut], [begins[i] for i in cut]
        ))
    for context, one in enumerate(whole):
        got = np.concatenate(parts[context::3])
        np.testing.assert_array_equal(got, attend(CAUSAL, image(), *one)[0])


def test_a_context_that_begins_anew_forgets():
    rng = np.random.default_rng(2)
    first, second, third = sequence(rng, 3, 0), sequence(rng, 2, 0), sequence(rng, 4, 0)
    engine = IntegerEngine(CAUSAL, image())
    answers = engine.attend(as_workload([first, second, third], [1, 1, 1], [1, 1, 0]))
    whole = (0, *(np.concatenate(parts) for parts in zip(second[1:], third[1:])))
    want = attend(CAUSAL, image(), *whole)[0]
    np.testing.assert_array_equal(np.concatenate(answers[1:]), want)
    again = engine.attend(as_workload([first], [1], [0]))[0]
    whole = (0, *(np.concatenate(parts) for parts in zip(whole[1:], first[1:])))
    np.testing.assert_array_equal(again, attend(CAUSAL, image(), *whole)[0][-3:])


def test_a_context_that_none_has_begun_is_refused():
    one = sequence(np.random.default_rng(3), 2, 0)
    with pytest.raises(ValueError, match="^Context 2 must be begun before it goes on$"):
        IntegerEngine(CAUSAL, image()).attend(as_workload([one], [2], [0]))


def test_pairs_of_any_lengths_are_answered_one_by_one():
    rng = np.random.default_rng(4)
    shapes = [(3, 5), (5, 3), (3, 5), (4, 4), (1, 7)]
    pairs = [
        (*sequence(rng, keys, n % 2, 6), rng.choice([-1, 1], (queries, 6)))
        for n, (keys, queries) in enumerate(shapes)
    ]
    answers = IntegerEngine(CROSS, image()).attend(Workload.from_sequences(pairs))
    for (index, keys, values, queries), answer in zip(pairs, answers, strict=True):
        want = attend(CROSS, image(), index, keys, values, queries)[0]
        assert len(want) == len(queries)
        np.testing.assert_array_equal(answer, want)
