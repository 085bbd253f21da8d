# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecoformer.spec.config import Config
from ecoformer.spec.wire import keeps, pack_outputs, pack_sequence, unpack_sequence

SMALL = dict(
    head_dim=1, value_dim=1, code_bits=1, anchors=1, max_tokens=1, cycles_per_token=1_024,
    parameter_sets=1, bus_bytes=1,
)


@st.composite
def configs(draw):
    return Config(
        head_dim=draw(st.integers(1, 12)),
        value_dim=draw(st.integers(1, 12)),
        token_width=draw(st.integers(4, 8)),
        value_width=draw(st.integers(4, 8)),
        output_width=draw(st.integers(4, 24)),
        bus_bytes=draw(st.integers(1, 40)),
        cycles_per_token=64,
        max_tokens=16,
    )


def numbers(draw, shape, width):
    limit = 1 << width - 1
    element = st.integers(-limit, limit - 1) | st.sampled_from([-limit, limit - 1, 0, -1])
    count = int(np.prod(shape))
    drawn = draw(st.lists(element, min_size=count, max_size=count))
    return np.array(drawn, dtype=np.int64).reshape(shape)


@settings(max_examples=100, deadline=None)
@given(st.data(), configs(), st.integers(1, 5))
def test_outputs_survive_the_wire(data, config, count):
    outputs = numbers(data.draw, (count, config.value_dim), config.output_width)
    beats = pack_outputs(config, outputs)
    assert beats.shape == (count * config.output_beats, config.bus_bytes)
    assert beats.dtype == np.uint8
    unpacked = unpack_sequence(config, beats)
    assert unpacked.dtype == np.int64
    np.testing.assert_array_equal(unpacked, outputs)
    # Each token on its own beats, sign-extended to bytes, low element and byte first, then zeros.
    size = config.output_element_bytes
    for token, row in zip(outputs, beats.reshape(count, -1), strict=True):
        want = b"".join(int(x).to_bytes(size, "little", signed=True) for x in token)
        assert bytes(row) == want.ljust(len(row), b"\0")


@settings(max_examples=100, deadline=None)
@given(st.data(), configs(), st.integers(1, 5))
def test_sequences_are_packed_as_the_contract_says(data, config, count):
    tokens = numbers(data.draw, (count, config.head_dim), config.token_width)
    values = numbers(data.draw, (count, config.value_dim), config.value_width)
    beats = pack_sequence(config, tokens, values)
    assert beats.shape == (count * config.input_beats, config.bus_bytes)
    assert beats.dtype == np.uint8
    for x, v, row in zip(tokens, values, beats.reshape(count, -1), strict=True):
        want = b"".join(int(e).to_bytes(1, "little", signed=True) for e in (*x, *v))
        assert bytes(row) == want.ljust(len(row), b"\0")


@pytest.mark.parametrize("code_bits", [1, 7, 8, 9, 61, 128])
def test_codes_are_packed_bit_by_bit(code_bits):
    config = Config(hash="codes", code_bits=code_bits, value_dim=3, bus_bytes=4)
    rng = np.random.default_rng(0)
    codes, values = rng.choice([-1, 1], (5, code_bits)), rng.integers(-128, 128, (5, 3))
    beats = pack_sequence(config, codes, values)
    for code, v, row in zip(codes, values, beats.reshape(5, -1), strict=True):
        number = sum(1 << r for r, h in enumerate(code) if h > 0)
        want = number.to_bytes(config.key_bytes, "little") + v.astype(np.int8).tobytes()
        assert bytes(row) == want.ljust(len(row), b"\0")


def test_a_token_starts_on_a_beat():
    config = Config(head_dim=3, value_dim=2, bus_bytes=4, output_width=12, max_tokens=4)
    beats = pack_sequence(config, np.array([[1, -2, 3], [4, 5, -6]]), np.array([[7, -8], [9, 10]]))
    assert beats.tolist() == [
        [1, 254, 3, 7], [248, 0, 0, 0],
        [4, 5, 250, 9], [10, 0, 0, 0],
    ]
    outputs = np.array([[-2048, 2047], [1, -1]])
    beats = pack_outputs(config, outputs)
    assert beats.tolist() == [[0x00, 0xF8, 0xFF, 0x07], [0x01, 0x00, 0xFF, 0xFF]]


@pytest.mark.parametrize("width", [4, 8, 9, 24])
def test_no_outputs_are_no_beats(width):
    config = Config(output_width=width)
    assert pack_outputs(config, np.zeros((0, 32), dtype=np.int64)).shape == (0, 8)
    assert unpack_sequence(config, np.zeros((0, 8), dtype=np.uint8)).shape == (0, 32)


@pytest.mark.parametrize(
    "what, changes, beats",
    [
        # 7 + 2 bytes on 2 need 5 beats; 5 elements of 3 bytes on 3 need 5.
        ("input", dict(head_dim=7, value_dim=2, bus_bytes=2), 5),
        ("output", dict(head_dim=1, value_dim=5, output_width=17, bus_bytes=3), 5),
    ],
)
def test_a_tokens_beats_must_fit_its_cycles(what, changes, beats):
    config = Config(**{**SMALL, "cycles_per_token": 8, **changes})
    assert getattr(config, f"{what}_beats") == beats
    with pytest.raises(ValueError) as caught:
        replace(config, cycles_per_token=4)
    assert str(caught.value) == (
        f"bus_bytes must carry a token's {what} in cycles_per_token = 4 beats, "
        f"not in {beats} beats of {changes['bus_bytes']} bytes"
    )


def test_the_ports_must_carry_what_all_engines_ask_for():
    shape = {**SMALL, "head_dim": 3, "value_dim": 2, "cycles_per_token": 16, "output_width": 8}
    config = Config(**shape, engines=3)
    assert (config.input_beats, config.output_beats) == (5, 2)
    with pytest.raises(ValueError) as caught:
        replace(config, engines=4)
    assert str(caught.value) == (
        "engines must be at most 3, because each asks for a token's input, 5 beats of 1 bytes, "
        "every cycles_per_token = 16 cycles, not 4"
    )
    with pytest.raises(ValueError, match=r"^engines must be at most 2, .* output, 6 beats of "):
        replace(config, engines=3, output_width=24)


@pytest.mark.parametrize("code_bits, size", [(1, 1), (8, 1), (9, 2), (128, 16)])
def test_codes_travel_packed(code_bits, size):
    config = Config(hash="codes", code_bits=code_bits, value_dim=3)
    assert config.key_bytes == size and config.token_bytes == size + 3


@pytest.mark.parametrize("width, size", [(4, 1), (8, 1), (9, 2), (16, 2), (17, 3), (24, 3)])
def test_output_elements_are_whole_bytes(width, size):
    assert Config(output_width=width).output_element_bytes == size


def test_packed_tokens_and_padding_sent_as_data_are_always_seen():
    """A DMA sends bytes of memory without gaps: only tokens that need no padding can pass."""
    configs = {n: Config(bus_bytes=n, tkeep=True, cycles_per_token=64) for n in range(1, 10)}
    for (bus, config), size, tokens in product(configs.items(), range(1, 40), range(1, 5)):
        every = -(-size // bus)
        for sent, what in ((tokens * size, "packed"), (tokens * every * bus, "padded in memory")):
            beats = -(-sent // bus)
            memory = (np.arange(beats * bus) < sent).reshape(beats, bus)
            same = np.array_equal(memory, keeps(config, size, beats))
            good = size % bus == 0 or (what == "packed" and tokens == 1)
            assert same == good, (bus, size, tokens, what)
