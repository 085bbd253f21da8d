# SPDX-License-Identifier: Apache-2.0
import random

import numpy as np
import pytest

from ecoformer.golden.integer.network.norm import norm
from ecoformer.hw.network.norm import Norm, QuickNorm
from ecoformer.spec.network.layers import NormShape
from tests.hw.network.links import run_tokens


def tokens_of(shape, rng):
    """Full range, nearly constant, constant, extremes and a single large element."""
    limit = 1 << (shape.input_width - 1)
    width = shape.width
    tokens = [
        rng.integers(-limit, limit, width), rng.integers(-3, 4, width), np.zeros(width),
        np.full(width, -limit), np.full(width, limit - 1), np.eye(width)[0] * (limit - 1),
        np.where(np.arange(width) % 2, -limit, limit - 1),
        rng.normal(0, limit / 8, width).clip(-limit, limit - 1), rng.integers(90, 93, width),
    ]
    return np.array(tokens).astype(np.int64)


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("epsilon", [1, 1_000])
@pytest.mark.parametrize("width, bits, output", [
    (4, 16, 8), (5, 12, 8), (16, 16, 8), (33, 18, 8), (64, 16, 8), (8, 8, 4),
])
def test_equals_the_integer_model(width, bits, output, epsilon, stall):
    shape, seed = NormShape(width, bits, output), 3
    tokens = tokens_of(shape, np.random.default_rng(seed))
    for kind in (Norm, QuickNorm):
        found, _ = run_tokens(
            kind(shape, [epsilon], 64, 64), tokens.tolist(), len(tokens), rng=random.Random(seed),
            stall=stall,
        )
        assert found == norm(shape, tokens, epsilon).tolist()


@pytest.mark.parametrize("width", [16, 64])
def test_takes_an_element_every_cycle(width):
    shape = NormShape(width, 16, 8)
    tokens = np.random.default_rng(0).integers(-500, 500, (12, width))
    _, cycles = run_tokens(Norm(shape, [1], width, width + 1), tokens.tolist(), 12, slots=4)
    # The source itself announces a token in a cycle of its own.
    assert np.diff(cycles)[4:].max() <= width + 1


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("width, bits, lanes", [(4, 16, 4), (6, 12, 2), (9, 18, 3), (64, 16, 4)])
def test_several_elements_at_once(width, bits, lanes, stall):
    shape, seed = NormShape(width, bits, 8), 5
    tokens = tokens_of(shape, np.random.default_rng(seed))
    for kind in (Norm, QuickNorm):
        dut = kind(shape, [100], width // lanes + 1, width // lanes + 1, lanes)
        found, cycles = run_tokens(
            dut, tokens.tolist(), len(tokens), rng=random.Random(seed), stall=stall, slots=32
        )
        assert found == norm(shape, tokens, 100).tolist()
        if not stall:
            assert np.diff(cycles)[4:].max() <= width // lanes + 1
