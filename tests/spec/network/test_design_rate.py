# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import pytest

from tests.sim.network.designs import DESIGNS, TINY


@pytest.mark.parametrize("design, cycles", [
    (DESIGNS["fast"], 24),  # a fold takes all of k
    (DESIGNS["single"], 64),  # the attention's power of two is the slowest, of k = 75
    (replace(TINY, patch=2, cycles_per_token=17), 16),
    (replace(TINY, image_size=3, patch=3, cycles_per_token=25), 25),  # a window of 25 elements
])
def test_the_slowest_layer_sets_the_rate(design, cycles):
    assert design.steady_cycles == cycles
    assert design.cycles_per_image == design.tokens * cycles


def test_the_fingerprint_has_the_rate_and_that_of_the_bits_has_not():
    other = replace(TINY, cycles_per_token=32)
    assert other.fingerprint != TINY.fingerprint
    assert other.bits_fingerprint == TINY.bits_fingerprint
