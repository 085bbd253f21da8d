# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ecoformer.golden.integer.attention import attend, divide
from ecoformer.golden.integer.dataflows.linear import accumulate, query
from ecoformer.golden.integer.dataflows.pairwise import similarity_sums
from ecoformer.golden.integer.dataflows.softmax import softmax_sums
from ecoformer.golden.integer.hashing import hash_tokens, trace_tokens
from ecoformer.sim.stimulus import PATTERNS, random_image, random_workload
from ecoformer.spec.arithmetic import Arithmetic
from ecoformer.spec.config import Config
from ecoformer.spec.dataflows import CROSS
from ecoformer.spec.parameters import SIDE_ARRAYS

SHAPES = {
    "one": Config(head_dim=1, value_dim=1, code_bits=1, anchors=1, max_tokens=1),
    "primes": Config(head_dim=3, value_dim=5, code_bits=7, anchors=2, max_tokens=13),
    "fraction": Config(
        head_dim=4, value_dim=2, code_bits=12, anchors=3, max_tokens=64, offset_fraction=5,
        output_width=9, output_fraction=3,
    ),
    "long": Config(code_bits=128, value_dim=4, max_tokens=2_048, offset_fraction=8),
    "own": Config(
        head_dim=3, value_dim=5, code_bits=7, anchors=2, max_tokens=13, offset_fraction=2,
        value_term="own",
    ),
}


def draw(config, rng, pattern, count):
    codes = rng.choice([-1, 1], (count, config.code_bits))
    return codes, PATTERNS[pattern](rng, (count, config.value_dim), config.value_width)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("name", SHAPES)
def test_the_linear_form_equals_the_quadratic(name, pattern, seed):
    config, rng = SHAPES[name], np.random.default_rng(seed)
    count = int(rng.integers(1, min(config.max_tokens, 200) + 1))
    codes, values = draw(config, rng, pattern, count)
    for offset in (0, 1, config.code_bits, Arithmetic(config).max_offset):
        linear = query(config, codes, accumulate(codes, values), offset, values)
        quadratic = similarity_sums(config, codes, values, offset)
        for a, b in zip(linear, quadratic, strict=True):
            assert a.dtype == b.dtype == np.int64
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", SHAPES)
def test_both_forms_agree_at_the_extremes(name):
    config = SHAPES[name]
    low = -(1 << config.value_width - 1)
    count, offset = min(config.max_tokens, 300), Arithmetic(config).max_offset
    for sign in (-1, 1):
        codes = np.full((count, config.code_bits), sign, dtype=np.int64)
        values = np.full((count, config.value_dim), low, dtype=np.int64)
        numerator, denominator = query(config, codes, accumulate(codes, values), offset, values)
        weight = (config.code_bits << config.offset_fraction) + offset
        assert (denominator == weight * count).all()
        summed = (config.code_bits << config.offset_fraction) * count
        summed += offset * (count if config.value_term == "sum" else 1)
        assert (numerator == summed * low).all()
        other = similarity_sums(config, codes, values, offset)
        np.testing.assert_array_equal(numerator, other[0])
        np.testing.assert_array_equal(denominator, other[1])


def test_sums_follow_the_definition():
    config, rng = SHAPES["fraction"], np.random.default_rng(2)
    codes, values = draw(config, rng, "random", 9)
    g, offset = config.offset_fraction, 77
    numerator, denominator = similarity_sums(config, codes, values, offset)
    for i in range(9):
        weights = [
            (sum(int(p) * int(q) for p, q in zip(codes[i], codes[j], strict=True)) << g) + offset
            for j in range(9)
        ]
        assert denominator[i] == sum(weights)
        for e, column in enumerate(values.T):
            assert numerator[i, e] == sum(w * int(v) for w, v in zip(weights, column, strict=True))


def test_the_own_value_takes_the_place_of_the_sum():
    config, rng = SHAPES["own"], np.random.default_rng(8)
    codes, values = draw(config, rng, "random", 9)
    own, denominator = similarity_sums(config, codes, values, 11)
    total, same = similarity_sums(replace(config, value_term="sum"), codes, values, 11)
    np.testing.assert_array_equal(denominator, same)
    np.testing.assert_array_equal(own - 11 * values, total - 11 * values.sum(0))


def test_leading_axes_are_carried_through():
    config, rng = SHAPES["primes"], np.random.default_rng(3)
    codes = rng.choice([-1, 1], (2, 3, 11, config.code_bits))
    values = rng.integers(-128, 128, (2, 3, 11, config.value_dim))
    stacked = query(config, codes, accumulate(codes, values), 5)
    for i in np.ndindex(2, 3):
        single = query(config, codes[i], accumulate(codes[i], values[i]), 5)
        for a, b in zip(stacked, single, strict=True):
            np.testing.assert_array_equal(a[i], b)
    for a, b in zip(stacked, similarity_sums(config, codes, values, 5), strict=True):
        np.testing.assert_array_equal(a, b)


# -- division ----------------------------------------------------------------------------------


def quotient(config, numerator, denominator):
    """The rule in unbounded rationals: f fraction bits, halves toward plus infinity, saturated."""
    if denominator <= 0:
        return 0
    limit = 2 ** (config.output_width - 1)
    rounded = floor(Fraction(numerator * 2**config.output_fraction, denominator) + Fraction(1, 2))
    assert rounded == (2 ** (config.output_fraction + 1) * numerator + denominator) // (
        2 * denominator
    )
    return min(max(rounded, -limit), limit - 1)


def divided(config, numerator, denominator):
    result = divide(config, np.array([[numerator]]), np.array([denominator]))
    assert result.dtype == np.int64
    return int(result[0, 0])


@given(
    st.integers(4, 24),
    st.integers(0, 12),
    st.integers(-(2**45), 2**45) | st.integers(-300, 300),
    st.integers(-5, 2**36) | st.integers(-5, 40),
)
@example(16, 8, 0, 1)
@example(4, 0, -(2**45), 1)
@example(24, 12, 2**45, 2**36)
def test_division_is_exact(width, fraction, numerator, denominator):
    config = replace(SHAPES["one"], output_width=width, output_fraction=fraction)
    assert divided(config, numerator, denominator) == quotient(config, numerator, denominator)


@pytest.mark.parametrize(
    "numerator, denominator, want",
    [(5, 2, 3), (-5, 2, -2), (3, 2, 2), (-3, 2, -1), (1, 2, 1), (-1, 2, 0), (-2, 3, -1), (7, 3, 2)],
)
def test_halves_round_up(numerator, denominator, want):
    config = replace(SHAPES["one"], output_width=8, output_fraction=0)
    assert divided(config, numerator, denominator) == want


def test_quotients_saturate():
    config = replace(SHAPES["one"], output_width=8, output_fraction=0)
    for numerator, want in (
        (127, 127), (128, 127), (10**9, 127), (-128, -128), (-129, -128), (-(10**9), -128),
    ):
        assert divided(config, numerator, 1) == want
    assert divided(config, 2 * 127 + 1, 2) == 127 and divided(config, -2 * 128 - 1, 2) == -128


@pytest.mark.parametrize("denominator", [0, -1, -(2**30)])
def test_a_denominator_that_is_not_positive_answers_zero(denominator):
    for numerator in (-(2**40), -1, 0, 1, 2**40):
        assert divided(SHAPES["primes"], numerator, denominator) == 0


def test_widest_operands_do_not_overflow():
    """2^(f+1)·num stays within int64 for the largest engine."""
    config = Config(
        code_bits=128, value_dim=1, max_tokens=29_000, offset_fraction=8, output_fraction=12,
        output_width=24,
    )
    bits = Arithmetic(config)
    assert bits.numerator_width + config.output_fraction + 1 <= 63
    weight = 3 * (config.code_bits << 8) * config.max_tokens
    for numerator in (weight * -128, weight * 127):
        assert divided(config, numerator, weight) == numerator // weight << 12


# -- whole sequences -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["fraction", "own"])
@pytest.mark.parametrize("seed", [4, 5, 6])
def test_attention_is_the_same_in_both_dataflows(name, seed):
    config, rng = SHAPES[name], np.random.default_rng(seed)
    image = random_image(config, rng)
    tokens = rng.integers(-128, 128, (3, 20, config.head_dim))
    values = rng.integers(-128, 128, (3, 20, config.value_dim))
    for index in range(image.sets):
        outputs, guarded = attend(config, image, index, tokens, values)
        other = attend(replace(config, dataflow="xnor"), image, index, tokens, values)
        assert outputs.dtype == guarded.dtype == np.int64 and guarded.shape == (3,)
        np.testing.assert_array_equal(outputs, other[0])
        np.testing.assert_array_equal(guarded, other[1])


@pytest.mark.parametrize("dataflow", ["accumulate", "xnor", "softmax"])
def test_separate_queries_ask_with_vectors_and_a_hash_of_their_own(dataflow):
    changes = {"hash": "none"} if dataflow == "softmax" else {}
    config = replace(SHAPES["own"], dataflow=dataflow, queries="separate", **changes)
    rng = np.random.default_rng(9)
    image = random_image(config, rng)
    q, k = rng.integers(-128, 128, (2, 3, 12, config.head_dim))
    values = rng.integers(-128, 128, (3, 12, config.value_dim))
    outputs, _ = attend(config, image, 1, np.concatenate([q, k], axis=-1), values)
    shared = replace(config, queries="shared")
    (query, key) = (image.side(side) for side in config.sides.all)
    codes = [hash_tokens(shared, one, 1, x) for one, x in ((query, q), (key, k))]
    assert (codes[0] != codes[1]).any()
    if dataflow == "softmax":
        sums = softmax_sums(k, values, image.scale[1], image.shift[1], q)
    else:
        sums = similarity_sums(config, codes[1], values, image.offset[1], codes[0])
    np.testing.assert_array_equal(outputs, divide(config, *sums))


def test_equal_vectors_and_hashes_make_separate_queries_shared():
    shared, rng = SHAPES["primes"], np.random.default_rng(10)
    config = replace(shared, queries="separate")
    image = random_image(shared, rng)
    both = {f"query_{name}": getattr(image, name) for name in SIDE_ARRAYS}
    x = rng.integers(-128, 128, (11, 3))
    values = rng.integers(-128, 128, (11, 5))
    twice = attend(config, replace(image, **both), 0, np.concatenate([x, x], axis=-1), values)
    for got, want in zip(twice, attend(shared, image, 0, x, values), strict=True):
        np.testing.assert_array_equal(got, want)


def test_separate_queries_need_not_be_as_many_as_keys():
    config, rng = replace(SHAPES["primes"], queries="separate"), np.random.default_rng(11)
    image = random_image(config, rng)
    q, k = rng.integers(-128, 128, (2, 9, 3))
    values = rng.integers(-128, 128, (9, 5))
    outputs, _ = attend(config, image, 0, np.concatenate([q, k], axis=-1), values)
    few, guarded = attend(config, image, 0, k, values, queries=q[:4])
    np.testing.assert_array_equal(few, outputs[:4])
    assert guarded.shape == ()


@pytest.mark.parametrize("dataflow", CROSS)
@pytest.mark.parametrize("hash", ["rbf", "linear", "codes"])
def test_queries_of_another_sequence_attend_to_all_keys(dataflow, hash):
    """Against the formula of cross-attention, pair by pair, for any two lengths."""
    shape = replace(SHAPES["primes"], hash=hash, value_term="sum", queries="cross")
    config, rng = replace(shape, dataflow=dataflow), np.random.default_rng(12)
    image, g = random_image(config, rng), config.offset_fraction
    for _, keys, values, queries in random_workload(config, rng, 8).sequences():
        outputs, guarded = attend(config, image, 1, keys, values, queries)
        h, asking = (
            trace_tokens(config, image.side(side), 1, part).codes
            for side, part in ((config.sides.key, keys), (config.sides.query, queries))
        )
        weights = ((asking @ h.T) << g) + image.offset[1]
        num, den = weights @ values, weights.sum(axis=1)
        assert outputs.shape == (len(queries), config.value_dim)
        np.testing.assert_array_equal(outputs, divide(config, num, den))
        assert guarded == (den <= 0).sum()
    with pytest.raises(ValueError, match="^tokens must have the .* elements of q and k, not"):
        attend(config, image, 1, keys, values)


def test_guarded_tokens_answer_zero_and_are_counted():
    config, rng = SHAPES["fraction"], np.random.default_rng(7)
    image = replace(random_image(config, rng), offset=np.zeros(config.parameter_sets, np.int64))
    zero = negative = 0
    for index in [*range(image.sets)] * 10:
        tokens = rng.integers(-128, 128, (4, config.head_dim))
        values = np.full((4, config.value_dim), 100)
        outputs, guarded = attend(config, image, index, tokens, values)
        codes = hash_tokens(config, image, index, tokens)
        denominator = (codes @ codes.T).sum(axis=1)
        assert guarded == (denominator <= 0).sum()
        assert not outputs[denominator <= 0].any()
        zero += (denominator == 0).sum()
        negative += (denominator < 0).sum()
    assert zero and negative, "no token was guarded: choose another seed"


def test_a_single_token_attends_to_itself():
    config, rng = SHAPES["primes"], np.random.default_rng(8)
    image = random_image(config, rng)
    value = rng.integers(-100, 100, (1, config.value_dim))
    outputs, guarded = attend(config, image, 0, rng.integers(-128, 128, (1, 3)), value)
    np.testing.assert_array_equal(outputs, value << config.output_fraction)
    assert not guarded
