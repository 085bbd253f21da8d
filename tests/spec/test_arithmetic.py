# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecoformer.golden.integer.dataflows.linear import accumulate, query
from ecoformer.golden.integer.hashing import trace_tokens
from ecoformer.spec.arithmetic import Arithmetic, signed_width
from ecoformer.spec.config import Config
from ecoformer.spec.parameters import ParameterImage
from ecoformer.spec.tables import (
    KERNEL_FRACTION,
    KERNEL_INDEX_BITS,
    KERNEL_WIDTH,
    ROOT_FRACTION,
    ROOT_INDEX_BITS,
    exponential_table,
    reciprocal_root_table,
)

SHAPES = [
    Config(),
    Config(head_dim=1, value_dim=1, code_bits=1, anchors=1, max_tokens=1, offset_fraction=0),
    Config(head_dim=7, value_dim=3, code_bits=5, anchors=13, max_tokens=31, offset_fraction=3),
    Config(
        head_dim=128, value_dim=2, code_bits=128, anchors=128, max_tokens=257, offset_fraction=8,
        token_width=4, value_width=5, output_width=24, output_fraction=12, cycles_per_token=64,
    ),
]


def fits(numbers, width):
    return -(1 << width - 1) <= np.min(numbers) and np.max(numbers) < 1 << width - 1


def needs_all(numbers, width):
    """Some number would not fit in one bit less."""
    return fits(numbers, width) and not fits(numbers, width - 1)


def image_of(config, anchor, projection, offset):
    c = config
    return ParameterImage(
        anchors=np.full((1, c.anchors, c.head_dim), anchor, dtype=np.int64),
        bias=np.zeros((1, c.anchors), dtype=np.int64),
        shift=np.zeros(1, dtype=np.int64),
        projection=np.full((1, c.code_bits, c.anchors), projection, dtype=np.int64),
        threshold=np.zeros((1, c.code_bits), dtype=np.int64),
        offset=np.full(1, offset, dtype=np.int64),
        value_scale=np.ones(1, dtype=np.float32),
    )


@pytest.mark.parametrize("magnitude", [1, 2, 3, 4, 127, 128, 129, 2**40])
def test_signed_width_is_the_narrowest(magnitude):
    width = signed_width(magnitude)
    assert fits([-magnitude, magnitude], width)
    assert not fits([-magnitude, magnitude], width - 1)


@pytest.mark.parametrize("config", SHAPES)
def test_hash_widths_hold_the_extremes_and_no_more(config):
    bits, low = Arithmetic(config), -(1 << config.token_width - 1)
    tokens = np.full((1, config.head_dim), low, dtype=np.int64)
    trace = trace_tokens(config, image_of(config, -128, -128, 0), 0, tokens)
    assert int(trace.norm[0]).bit_length() == bits.norm_width
    assert needs_all(trace.dots, bits.dot_width)
    # A bias of 0 makes κ one where the cosine is positive, so the projection is at its lowest.
    assert (trace.kernel == 2**KERNEL_WIDTH - 1).all()
    assert needs_all(trace.projection, bits.projection_width)
    assert trace.projection.min() == -bits.max_projection


@pytest.mark.parametrize("config", SHAPES)
def test_the_exponent_covers_every_norm(config):
    bits = Arithmetic(config)
    largest = config.head_dim << 2 * config.token_width - 2
    e = bits.max_exponent
    assert 4 ** (e - 1) <= largest < 4**e


def scaled(token, anchor):
    norm = sum(x * x for x in token)
    exponent = (norm.bit_length() + 1) // 2
    assert 4 ** (exponent - 1) <= norm < 4**exponent or norm == exponent == 0
    return (sum(x * a for x, a in zip(token, anchor, strict=True)) << 5) >> exponent


@settings(max_examples=300)
@given(
    st.integers(4, 8).flatmap(
        lambda width: st.tuples(
            st.just(width),
            st.lists(
                st.tuples(
                    st.integers(-(1 << width - 1), (1 << width - 1) - 1)
                    | st.sampled_from([-(1 << width - 1), (1 << width - 1) - 1]),
                    st.integers(-128, 127) | st.sampled_from([-128, 127]),
                ),
                min_size=1,
                max_size=128,
            ),
        )
    )
)
def test_scaled_dot_products_and_cosines_fit(case):
    width, pairs = case
    bits = Arithmetic(
        Config(head_dim=len(pairs), token_width=width, cycles_per_token=128, value_dim=1)
    )
    token, anchor = zip(*pairs, strict=True)
    value = scaled(token, anchor)
    assert fits([value], bits.scaled_dot_width)
    assert fits([value * max(reciprocal_root_table())], bits.cosine_width)


@pytest.mark.parametrize("width", range(4, 9))
def test_scaled_dot_products_of_parallel_vectors_fit(width):
    """Where Cauchy-Schwarz is nearly an equality, exhaustively for one element."""
    for dim in (1, 2, 31, 128):
        bits = Arithmetic(
            Config(head_dim=dim, token_width=width, cycles_per_token=128, value_dim=1)
        )
        for x in range(-(1 << width - 1), 1 << width - 1):
            for a in (-128, 127):
                value = scaled([x] * dim, [a] * dim)
                assert fits([value], bits.scaled_dot_width), (dim, x, a)


@pytest.mark.parametrize("g", [0, 8])
@pytest.mark.parametrize("config", SHAPES)
def test_attention_widths_hold_the_extremes_and_no_more(config, g):
    config = Config(**{**vars_of(config), "offset_fraction": g})
    bits, n = Arithmetic(config), config.max_tokens
    low = -(1 << config.value_width - 1)
    values = np.full((n, config.value_dim), low, dtype=np.int64)
    for sign in (-1, 1):
        codes = np.full((n, config.code_bits), sign, dtype=np.int64)
        S, z, V, count = accumulate(codes, values)
        numerator, denominator = query(config, codes[:1], (S, z, V, count), bits.max_offset)
        assert fits(S, bits.state_width) and needs_all(V, bits.plain_sum_width)
        assert fits(z, bits.code_sum_width)
        assert count.bit_length() == bits.count_width
        assert fits(codes[:1] @ z, bits.similarity_sum_width)
        assert needs_all(numerator, bits.numerator_width)
        assert needs_all(denominator, bits.denominator_width)
        assert fits(codes[:1] @ S, bits.value_sum_width)
        if sign < 0:
            assert needs_all(S, bits.state_width)  # -(-128)·n
        else:
            assert needs_all(z, bits.code_sum_width)
            assert needs_all(codes[:1] @ z, bits.similarity_sum_width)
    opposed = -codes[:1]
    assert needs_all(opposed @ S, bits.value_sum_width)


@pytest.mark.parametrize("config", SHAPES)
def test_the_dividend_holds_what_the_normaliser_adds(config):
    bits, c = Arithmetic(config), config
    numerator = 1 << bits.numerator_width - 1
    largest_denominator = 3 * (c.code_bits << c.offset_fraction) * c.max_tokens
    weights = (3 * c.code_bits << c.offset_fraction) * c.max_tokens
    value = 1 << c.value_width - 1
    for num in (-weights * value, weights * (value - 1)):
        assert -numerator <= num < numerator
        for den in (1, largest_denominator):
            dividend = (num << c.output_fraction) + (den << c.output_width - 1) + (den >> 1)
            assert fits([dividend], bits.dividend_width)


@pytest.mark.parametrize("config", SHAPES)
def test_the_offset_range_covers_the_papers_and_the_released_one(config):
    bits, g, b = Arithmetic(config), config.offset_fraction, config.code_bits
    power = 1
    while power <= b:  # the paper: 2^c, the smallest above b
        power *= 2
    assert bits.max_offset >= max(power, b + 1) << g
    assert bits.max_offset.bit_length() == bits.offset_width


def test_reciprocal_roots():
    table = reciprocal_root_table()
    assert len(table) == 1 << ROOT_INDEX_BITS
    for i, entry in enumerate(table):
        middle = (max(i, 256) + 0.5) / 1_024
        assert entry == math.floor(2**ROOT_FRACTION / math.sqrt(middle) + 0.5), i
    assert min(table) >= 1 << ROOT_FRACTION and max(table) < 2 << ROOT_FRACTION


@pytest.mark.parametrize("dim, width", [(1, 8), (3, 4), (128, 8)])
def test_only_the_zero_token_uses_the_lower_quarter_of_the_roots(dim, width):
    largest = dim << 2 * width - 2
    step = max(1, largest // 20_000)
    for norm in {*range(1, largest + 1, step), *range(1, min(largest, 300) + 1), largest}:
        exponent = (norm.bit_length() + 1) // 2
        assert 256 <= (norm << ROOT_INDEX_BITS) >> 2 * exponent < 1_024, norm


def test_exponentials():
    table = exponential_table()
    assert len(table) == 1 << KERNEL_INDEX_BITS
    one = 2**KERNEL_WIDTH - 1
    for i, entry in enumerate(table):
        assert entry == math.floor(one * math.exp(-i / 2**KERNEL_FRACTION) + 0.5), i
    assert table[0] == one and table == tuple(sorted(table, reverse=True))


def vars_of(config):
    return {name: getattr(config, name) for name in config.__dataclass_fields__}
