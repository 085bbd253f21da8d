# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest

from ecoformer.golden.integer.attention import attend, attend_on, empty_state
from ecoformer.golden.integer.dataflows.causal import advance
from ecoformer.golden.integer.dataflows.linear import accumulate, query
from ecoformer.sim.stimulus import random_image, random_workload
from ecoformer.spec.config import Config

CONFIG = Config(
    code_bits=7, value_dim=5, head_dim=3, anchors=2, max_tokens=40, offset_fraction=2,
    mask="causal",
)
CONFIGS = {
    "rbf": CONFIG,
    "own value": replace(CONFIG, value_term="own"),
    "separate": replace(CONFIG, queries="separate", hash="linear"),
    "codes, separate, own value": replace(
        CONFIG, queries="separate", hash="codes", value_term="own"
    ),
}


def draw(seed, count):
    rng = np.random.default_rng(seed)
    keys, queries = rng.choice([-1, 1], (2, count, CONFIG.code_bits))
    return keys, rng.integers(-128, 128, (count, CONFIG.value_dim)), queries


def sequence(config, seed, count):
    rng = np.random.default_rng(seed)
    image = random_image(config, rng, sets=2)
    ((_, tokens, values),) = random_workload(config, rng, 1, lengths=count).sequences()
    return image, tokens, values


@pytest.mark.parametrize("value_term", ["sum", "own"])
def test_every_token_attends_to_those_so_far(value_term):
    config = replace(CONFIG, value_term=value_term)
    keys, values, queries = draw(0, 13)
    numerators, denominators, state = advance(
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


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("cuts", [(1,), (5, 6), (1, 2, 3, 12), range(1, 13)])
def test_a_context_may_be_cut_anywhere(config, cuts):
    image, tokens, values = sequence(config, 1, 13)
    whole, guarded = attend(config, image, 1, tokens, values)
    state, outputs, zeros = empty_state(config), [], 0
    for piece in zip(np.split(tokens, cuts), np.split(values, cuts), strict=True):
        out, count, state = attend_on(config, image, 1, *piece, state)
        outputs.append(out)
        zeros += count
    np.testing.assert_array_equal(np.concatenate(outputs), whole)
    assert zeros == guarded and state[-1] == 13
    assert not any(np.any(part) for part in empty_state(config)), "a state was changed in place"


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_pairs_of_tokens_give_the_same(config):
    image, tokens, values = sequence(config, 2, 17)
    want = attend(config, image, 0, tokens, values)
    got = attend(replace(config, dataflow="xnor"), image, 0, tokens, values)
    for one, other in zip(got, want, strict=True):
        np.testing.assert_array_equal(one, other)
    full, _ = attend(replace(config, mask="full"), image, 0, tokens, values)
    assert (full != want[0]).any() and (full[-1] == want[0][-1]).all()


def test_many_sequences_at_once():
    image, tokens, values = sequence(CONFIG, 3, 12)
    both, guarded = attend(
        CONFIG, image, 0, tokens.reshape(2, 6, -1), values.reshape(2, 6, -1)
    )
    for i, part in enumerate((slice(6), slice(6, None))):
        want, zeros = attend(CONFIG, image, 0, tokens[part], values[part])
        np.testing.assert_array_equal(both[i], want)
        assert guarded[i] == zeros
