import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecoformer.spec.config import Config
from ecoformer.spec.wire import pack_outputs, pack_sequence, unpack_sequence


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
