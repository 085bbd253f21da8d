# SPDX-License-Identifier: Apache-2.0
import pytest

from ecoformer.golden.energy.prices import SRAM, adder, multiplier, sram


def test_prices_pass_through_the_published_points():
    assert adder(8) == pytest.approx(0.03) and adder(32) == pytest.approx(0.1)
    assert multiplier(8, 8) == pytest.approx(0.2) and multiplier(32, 32) == pytest.approx(3.1)
    for size, energy in SRAM.items():
        assert 64 * sram(size) == pytest.approx(energy)


def test_prices_between_and_beyond():
    assert adder(20) == pytest.approx((0.03 + 0.1) / 2)
    assert adder(4) == pytest.approx(0.015)
    assert multiplier(4, 8) == pytest.approx(0.1)
    assert multiplier(16, 34) == multiplier(34, 16) == pytest.approx((0.2 + 3.1) / 2)
    assert 64 * sram(2 * 1024) == pytest.approx(5)
    assert 64 * sram(16 * 1024) == pytest.approx(10 * 2**0.5)
    assert sram(1 << 24) == sram(1 << 20)


def test_prices_never_fall_with_size():
    for price, sizes in (
        (adder, range(1, 80)),
        (lambda n: multiplier(n, 9), range(1, 80)),
        (sram, range(1, 2 << 20, 997)),
    ):
        values = [price(size) for size in sizes]
        assert values == sorted(values) and values[0] > 0
