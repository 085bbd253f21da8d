# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from ecoformer.golden.integer.attention import attend
from ecoformer.golden.integer.hashing import hash_tokens
from ecoformer.sim.stimulus import PATTERNS, random_image, random_workload
from ecoformer.spec.config import Config

CONFIGS = {
    "demo": Config(max_tokens=64),
    "smallest": Config(
        head_dim=1, value_dim=1, code_bits=1, anchors=1, max_tokens=1, cycles_per_token=4,
        parameter_sets=1, bus_bytes=1, token_width=4, value_width=4,
    ),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_images_and_workloads_are_admitted(config):
    rng = np.random.default_rng(1)
    for _ in range(20):
        random_image(config, rng).check(config)
        random_workload(config, rng, 7).check(config)


def test_the_same_seed_gives_the_same_numbers():
    first, second = (
        random_workload(CONFIGS["demo"], np.random.default_rng(3), 5) for _ in range(2)
    )
    np.testing.assert_array_equal(first.tokens, second.tokens)
    np.testing.assert_array_equal(first.sets, second.sets)


def test_random_codes_are_alive():
    config = CONFIGS["demo"]
    rng = np.random.default_rng(2)
    image = random_image(config, rng)
    tokens = rng.integers(-128, 128, (500, config.head_dim))
    codes = np.stack([hash_tokens(config, image, s, tokens) for s in range(image.sets)])
    changing = (codes.min(axis=1) < codes.max(axis=1)).mean()
    assert changing > 0.4


def test_random_images_reach_the_denominator_guard():
    config, guarded = CONFIGS["demo"], 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        image = random_image(config, rng)
        for index, tokens, values in random_workload(config, rng, 7).sequences():
            guarded += attend(config, image, index, tokens, values)[1]
    assert guarded > 0


def test_patterns_and_lengths_are_kept():
    config = CONFIGS["demo"]
    rng = np.random.default_rng(4)
    workload = random_workload(config, rng, 4, lengths=1, patterns=["lowest"])
    assert workload.lengths.tolist() == [1] * 4
    assert (workload.tokens == -128).all() and (workload.values == -128).all()
    workload = random_workload(config, rng, 2, lengths=(5, 9), patterns=["equal"], sets=1)
    assert ((5 <= workload.lengths) & (workload.lengths <= 9)).all()
    assert (workload.sets == 0).all()
    for _, tokens, _ in workload.sequences():
        assert (tokens == tokens[0]).all()
    zero = random_workload(config, rng, 1, lengths=5, patterns=["zero token"])
    assert (zero.tokens == 0).all(axis=1).any()
    assert random_workload(config, rng, 2 * len(PATTERNS)).lengths.size == 2 * len(PATTERNS)
