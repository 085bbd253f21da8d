# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from ecoformer.spec.weights import WEIGHT_FORMATS


def decode(form, code):
    """The weight that a code of ``form`` stands for, by its documentation."""
    if form.name == "pow2":
        size = code & (1 << form.bits - 1) - 1
        return 0 if size == 0 else (-1) ** (code >> form.bits - 1) * 2 ** (size - 1)
    return code - (code >> form.bits - 1 << form.bits)


@pytest.mark.parametrize("form", WEIGHT_FORMATS.values(), ids=WEIGHT_FORMATS)
def test_every_weight_has_a_code_of_its_own(form):
    codes = form.encode(np.array(form.values))
    assert codes.dtype == np.int64 and len(set(codes.tolist())) == len(form.values)
    assert 0 <= codes.min() and codes.max() < 1 << form.bits
    assert [decode(form, int(code)) for code in codes] == list(form.values)
    assert form.encode(np.zeros(1)) == 0  # lanes off the edge of an array add nothing


@pytest.mark.parametrize("form", WEIGHT_FORMATS.values(), ids=WEIGHT_FORMATS)
def test_only_weights_of_the_format_are_held(form):
    assert form.values == tuple(sorted(form.values))
    assert form.limit == max(-form.values[0], form.values[-1])
    assert form.holds(np.array([form.values]))
    for weight in {3, form.limit + 1, -form.limit - 1} - set(form.values):
        assert not form.holds(np.array([0, weight]))


def test_the_formats():
    assert WEIGHT_FORMATS["int8"].values == tuple(range(-128, 128))
    assert WEIGHT_FORMATS["ternary"].values == (-1, 0, 1)
    powers = [2**e for e in range(7)]
    assert WEIGHT_FORMATS["pow2"].values == tuple(sorted([0, *powers, *(-p for p in powers)]))
    assert [form.bits for form in WEIGHT_FORMATS.values()] == [8, 4, 2]
