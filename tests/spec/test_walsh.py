# SPDX-License-Identifier: Apache-2.0
from itertools import product

import numpy as np
import pytest
from scipy.linalg import hadamard

from ecoformer.spec.config import Config
from ecoformer.spec.walsh import WalshFold, walsh_signs


@pytest.mark.parametrize("size", [1, 2, 8, 32])
def test_signs_are_those_of_sylvesters_matrix(size):
    np.testing.assert_array_equal(walsh_signs(np.arange(size), np.arange(size)), hadamard(size))


@pytest.mark.parametrize(
    "inputs, outputs", [*product((1, 2, 5, 8, 13, 32), (1, 3, 8, 20, 64))]
)
def test_every_fold_covers_the_transform_in_time(inputs, outputs):
    adders = []
    for exponent in range(11):
        fold = WalshFold(inputs, outputs, 1 << exponent)
        assert fold.steps <= fold.cycles and fold.size >= inputs
        assert fold.input_steps * fold.input_lanes >= inputs
        assert fold.output_steps * fold.output_lanes >= outputs
        # A lane's block of elements is where its number says.
        assert fold.size % fold.input_lanes == 0 and fold.input_lanes.bit_count() == 1
        if fold.output_steps > 1:
            ends = sorted((fold.output_lanes, fold.size))
            assert ends[1] % ends[0] == 0 and fold.output_lanes >= fold.input_lanes
        adders.append(fold.lanes)
    assert adders[-1] < adders[0] or adders[0] == 1


def test_a_transform_takes_fewer_adders_than_a_product():
    ternary, walsh = (
        Config(head_dim=32, code_bits=32, hash=name, weights="ternary", cycles_per_token=1,
               bus_bytes=64)
        for name in ("linear", "hadamard")
    )
    assert walsh.projection_fold.butterflies == 32 * 5
    assert ternary.projection_fold.lanes == 32 * 32
