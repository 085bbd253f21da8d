# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from ecoformer.golden.quantize.host import dequantise_outputs, quantise_tokens, quantise_values
from ecoformer.spec.config import Config

CONFIG = Config(head_dim=3, value_dim=2, token_width=6, value_width=5)


def test_every_token_uses_its_whole_range():
    x = np.random.default_rng(0).normal(size=(4, 7, 3)) * np.logspace(-6, 6, 7)[:, None]
    tokens = quantise_tokens(CONFIG, x)
    assert tokens.dtype == np.int64
    np.testing.assert_array_equal(np.abs(tokens).max(-1), 31)


def test_the_scale_of_a_token_does_not_matter():
    x = np.random.default_rng(1).normal(size=(5, 3))
    np.testing.assert_array_equal(quantise_tokens(CONFIG, x), quantise_tokens(CONFIG, 64 * x))


def test_a_zero_token_stays_zero():
    np.testing.assert_array_equal(quantise_tokens(CONFIG, np.zeros((2, 3))), 0)


def test_values_are_limited_to_their_width():
    values = quantise_values(CONFIG, np.array([-100.0, -0.26, 0.24, 100.0]), 0.5)
    np.testing.assert_array_equal(values, [-16, -1, 0, 15])


@pytest.mark.parametrize("fraction", [0, 8])
def test_outputs_are_in_units_of_the_values(fraction):
    config = Config(output_fraction=fraction)
    assert dequantise_outputs(config, np.array(3 << fraction), 0.25) == 0.75
