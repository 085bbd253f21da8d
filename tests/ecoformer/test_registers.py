import pytest

from ecoformer import __version__
from ecoformer.config import Config
from ecoformer.registers import ADDRESS_WIDTH, IDENTITY, REGISTERS, Access, Error, constants


def test_offsets_are_words_in_order_within_the_address_space():
    offsets = [register.offset for register in REGISTERS.values()]
    assert offsets == list(range(0, 4 * len(REGISTERS), 4))
    assert offsets[-1] < 1 << ADDRESS_WIDTH
    assert [register.name for register in REGISTERS.values()] == list(REGISTERS)


def test_offsets_that_drivers_know_never_move():
    assert {name: register.offset for name, register in REGISTERS.items()} == {
        "ID": 0x00, "VERSION": 0x04, "FINGERPRINT": 0x08, "SHAPE": 0x0C, "SETS": 0x10,
        "MAX_TOKENS": 0x14, "CYCLES_PER_TOKEN": 0x18, "STATUS": 0x1C, "ERRORS": 0x20,
        "IRQ_ENABLE": 0x24, "PARAM_ADDRESS": 0x28, "PARAM_DATA": 0x2C, "COMMIT": 0x30,
        "MISALIGNED": 0x34, "TOO_LONG": 0x38, "UNKNOWN_SET": 0x3C, "DENOMINATOR": 0x40,
        "TOKENS": 0x44, "SEQUENCES": 0x48, "BUSY": 0x4C, "STARVED": 0x50, "BLOCKED": 0x54,
    }  # fmt: skip


def test_every_error_has_a_flag_and_a_counter():
    assert [error.value for error in Error] == list(range(len(Error)))
    for error in Error:
        assert REGISTERS[error.name].access is Access.COUNTER
        assert f"bit {error.value} {error.name}" in REGISTERS["ERRORS"].text


def test_every_register_is_described():
    assert all(register.text and "\n" not in register.text for register in REGISTERS.values())


@pytest.mark.parametrize(
    "config",
    [
        Config(),
        Config(
            head_dim=128, value_dim=1, code_bits=128, anchors=127, cycles_per_token=1_024,
            max_tokens=29_000, parameter_sets=256,
        ),
    ],
)  # fmt: skip
def test_constants_describe_the_engine(config):
    values = constants(config)
    assert values.keys() == {
        name for name, register in REGISTERS.items() if register.access is Access.CONSTANT
    }
    assert all(0 <= value < 1 << 32 for value in values.values())
    assert values["ID"] == IDENTITY and values["ID"].to_bytes(4, "big") == b"ECOF"
    parts = [values["VERSION"] >> shift & 0xFF for shift in (16, 8, 0)]
    assert ".".join(map(str, parts)) == __version__
    assert f"{values['FINGERPRINT']:08x}" == config.fingerprint[:8]
    assert [1 + (values["SHAPE"] >> 8 * i & 0xFF) for i in range(4)] == [
        config.head_dim, config.value_dim, config.code_bits, config.anchors,
    ]  # fmt: skip
    assert values["SETS"] == config.parameter_sets
    assert values["MAX_TOKENS"] == config.max_tokens
    assert values["CYCLES_PER_TOKEN"] == config.cycles_per_token
