# SPDX-License-Identifier: Apache-2.0
import numpy as np

from ecoformer.golden.integer.roots import reciprocal_root
from ecoformer.spec.tables import reciprocal_root_table

NUMBERS = [0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 255, 256, 2**21, 2**31, 2**32 - 1, 2**32, 2**53 - 1]
NUMBERS += np.random.default_rng(0).integers(0, 2**32, 500).tolist()
NUMBERS += np.random.default_rng(1).integers(0, 2**53, 500).tolist()


def test_the_exponent_and_the_entry_of_the_table():
    exponents, roots = reciprocal_root(np.array(NUMBERS).reshape(1, -1))
    assert exponents.dtype == roots.dtype == np.int64
    for number, exponent, root in zip(NUMBERS, exponents[0].tolist(), roots[0].tolist()):
        assert exponent == (number.bit_length() + 1) // 2
        assert 4**exponent > number and (number == 0 or 4 ** (exponent - 1) <= number)
        assert root == reciprocal_root_table()[number * 1024 // 4**exponent]


def test_it_is_the_reciprocal_root():
    numbers = np.array(NUMBERS[1:])
    exponents, roots = reciprocal_root(numbers)
    exact = 1 / np.sqrt(numbers)
    assert np.abs(roots / 2.0 ** (10 + exponents) / exact - 1).max() < 0.0015
