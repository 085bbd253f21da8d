# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest

from ecoformer.golden.integer.dataflows.causal import empty_state, stream
from ecoformer.golden.integer.dataflows.linear import accumulate, query
from ecoformer.spec.config import Config

CONFIG = Config(code_bits=7, value_dim=5, head_dim=3, anchors=2, max_tokens=40, offset_fraction=2)


def draw(seed, count):
    rng = np.random.default_rng(seed)
    keys, queries = rng.choice([-1, 1], (2, count, CONFIG.code_bits))
    return keys, rng.integers(-128, 128, (count, CONFIG.value_dim)), queries


@pytest.mark.parametrize("value_term", ["sum", "own"])
def test_every_token_attends_to_those_so_far(value_term):
    config = replace(CONFIG, value_term=value_term)
    keys, values, queries = draw(0, 13)
    numerators, denominators, state = stream(
        config, keys, values, queries, 11, empty_state(config)
    )
    assert numerators.dtype == denominators.dtype == np.int64
    for i in range(13):
        seen = accumulate(keys[: i + 1], values[: i + 1])
        num, den = query(config, queries[i : i + 1], seen, 11, values[i : i + 1])
        np.testing.assert_array_equal(numerators[i], num[0])
        assert denominators[i] == den[0]
    for got, want in zip(state, accumulate(keys, values), strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("cuts", [(1,), (5, 6), (1, 2, 3, 12), range(1, 13)])
def test_a_context_may_be_cut_anywhere(cuts):
    keys, values, queries = draw(1, 13)
    whole = stream(CONFIG, keys, values, queries, 3, empty_state(CONFIG))
    state, numerators, denominators = empty_state(CONFIG), [], []
    for piece in zip(*(np.split(x, cuts) for x in (keys, values, queries)), strict=True):
        num, den, state = stream(CONFIG, *piece, 3, state)
        numerators.append(num)
        denominators.append(den)
    np.testing.assert_array_equal(np.concatenate(numerators), whole[0])
    np.testing.assert_array_equal(np.concatenate(denominators), whole[1])
    for got, want in zip(state, whole[2], strict=True):
        np.testing.assert_array_equal(got, want)
    assert not any(np.any(part) for part in empty_state(CONFIG)), "a state was changed in place"
